-- A new try of a stage overtakes every older one.
UPDATE rerank.run SET fence = fence + 1, busy_since = clock_timestamp() WHERE run_id = :run_id RETURNING fence
