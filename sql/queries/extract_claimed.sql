-- Marks the run as claimed; from here on it claims nothing more.
UPDATE rerank.run SET claimed_at = now() WHERE run_id = :run_id
