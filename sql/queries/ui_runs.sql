-- The latest runs of a pipeline, one page of them, each with its latest publication and that one's sums over its topics.
SELECT r.run_id, r.key, r.until, r.topics, r.rescore, r.degraded, r.created_at, r.claimed_at, r.prepared_at, r.frozen_at,
       r.published_at, r.fence, r.scorer_id, r.claimed, p.publication_id, p.version, p.row_count, p.difference,
       p.parquet_path, c.publication_id IS NOT NULL AS is_current,
       s.candidates, s.from_ledger, s.scored, s.refused, s.missing, s.left_out, s.topics_ranked,
       g.verdict, g.sentence, g.actor AS decided_by, g.decided_at,
       count(*) OVER () AS total
FROM rerank.run r
LEFT JOIN LATERAL (SELECT * FROM rerank.publication WHERE run_id = r.run_id ORDER BY version DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (SELECT * FROM rerank.gate WHERE run_id = r.run_id ORDER BY gate_id DESC LIMIT 1) g ON true
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
LEFT JOIN LATERAL (
    SELECT CAST(sum(t.candidates) AS bigint) AS candidates, CAST(sum(t.from_ledger) AS bigint) AS from_ledger,
           CAST(sum(t.scored) AS bigint) AS scored, CAST(sum(t.refused) AS bigint) AS refused, CAST(sum(t.missing) AS bigint) AS missing,
           CAST(sum(t.left_out) AS bigint) AS left_out, count(*) FILTER (WHERE t.ranked > 0) AS topics_ranked
    FROM rerank.ranking_topic t
    WHERE t.publication_id = p.publication_id
) s ON p.publication_id IS NOT NULL
WHERE r.pipeline = :pipeline AND (CAST(:run_id AS bigint) IS NULL OR r.run_id = :run_id)
ORDER BY r.run_id DESC
LIMIT :limit OFFSET :offset
