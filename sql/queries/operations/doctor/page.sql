-- name: state
-- The page that readers see: its time, whether a rollback holds it, and why the gate blocks its run (null: it does not).
SELECT p.run_id, p.as_of, c.held, now() AS now,
       CASE WHEN (SELECT g.verdict FROM rerank.gate g WHERE g.run_id = p.run_id ORDER BY g.gate_id DESC LIMIT 1) = 'blocked'
            THEN p.blocked END AS blocked
FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline
