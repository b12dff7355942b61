-- name: state
-- The page that readers see: its time, whether a rollback holds it, and why the gate blocks its run (null: it does not). Without
-- a page, the pipeline's first run and its beginning.
SELECT p.run_id, p.as_of AS since, now() AS now, true AS exists, c.held,
       CASE WHEN (SELECT g.verdict FROM rerank.gate g WHERE g.run_id = p.run_id ORDER BY g.gate_id DESC LIMIT 1) = 'blocked'
            THEN p.blocked END AS blocked
FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline
UNION ALL
(SELECT r.run_id, r.created_at, now(), false, false, NULL
 FROM rerank.run r
 WHERE r.pipeline = :pipeline AND NOT EXISTS (SELECT FROM rerank.pointer c WHERE c.pipeline = :pipeline)
 ORDER BY r.run_id
 LIMIT 1)

-- name: told
-- When somebody was last told that a run's page is old.
SELECT value FROM rerank.run_metric WHERE run_id = :run_id AND stage = 'watch' AND name = :metric

-- name: file
-- The Parquet file of the page; the store of every host has it.
SELECT p.parquet_path FROM rerank.pointer c JOIN rerank.publication p USING (publication_id) WHERE c.pipeline = :pipeline
