-- name: pending
-- Moves of the page that Airflow was not told of, one a publication, as an asset event tells it. A publication that stopped being
-- the page a day ago is found by no reader.
SELECT m.pointer_move_id, p.run_id, p.as_of, p.publication_id, p.version, p.degraded, p.blocked,
       CAST(EXTRACT(EPOCH FROM now() - p.as_of) AS double precision) AS age_seconds,
       (SELECT count(*) FROM rerank.ranking_topic t WHERE t.publication_id = p.publication_id) AS topics,
       p.row_count AS rows, p.rows_sha256, p.parquet_path
FROM (SELECT to_publication_id AS publication_id, max(pointer_move_id) AS pointer_move_id
      FROM rerank.pointer_move
      WHERE pipeline = :pipeline AND announced_at IS NULL
      GROUP BY to_publication_id) m
JOIN rerank.publication p USING (publication_id)
WHERE EXISTS (SELECT FROM rerank.pointer c WHERE c.publication_id = p.publication_id)
   OR EXISTS (SELECT FROM rerank.pointer_move l
              WHERE l.from_publication_id = p.publication_id AND l.moved_at > now() - make_interval(secs => :hours * 3600))
ORDER BY m.pointer_move_id

-- name: settle
-- Airflow was told of this move; moves before it either were told of, too, or are of no use any more.
UPDATE rerank.pointer_move SET announced_at = now()
WHERE pipeline = :pipeline AND pointer_move_id <= :pointer_move_id AND announced_at IS NULL
