-- The run has a publication.
UPDATE rerank.run SET published_at = now(), degraded = :degraded WHERE run_id = :run_id
