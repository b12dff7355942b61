-- The gate waits for this chunk before it blocks the run, or this chunk for the gate.
SELECT run_id FROM rerank.run WHERE run_id = :run_id FOR KEY SHARE
