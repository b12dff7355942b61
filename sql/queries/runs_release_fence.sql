-- A try has ended; a newer one may still be at work.
UPDATE rerank.run SET busy_since = NULL WHERE run_id = :run_id AND fence = :fence
