-- A publication and its run, to be published again.
SELECT p.pipeline, p.run_id, p.fence, p.as_of, p.degraded, p.blocked, p.row_count,
       (SELECT count(*) FROM rerank.ranking r WHERE r.publication_id = p.publication_id) AS rows_left,
       (SELECT max(o.version) + 1 FROM rerank.publication o WHERE o.run_id = p.run_id) AS next_version
FROM rerank.publication p
WHERE p.publication_id = :publication_id
