-- Locks the run's row, so that no newer try begins before this one has committed.
SELECT fence FROM rerank.run WHERE run_id = :run_id FOR UPDATE
