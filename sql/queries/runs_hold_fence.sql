-- Locks the run's row, so that no newer try begins before this one has committed. A chunk of scores that is being kept holds
-- the run by its key alone: neither waits for the other.
SELECT fence FROM rerank.run WHERE run_id = :run_id FOR NO KEY UPDATE
