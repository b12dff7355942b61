-- Every revision of the run is prepared or in quarantine.
UPDATE rerank.run SET prepared_at = COALESCE(prepared_at, now()) WHERE run_id = :run_id
