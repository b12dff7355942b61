-- Every revision of the run is prepared or in quarantine.
UPDATE rerank.run SET prepared_at = COALESCE(prepared_at, clock_timestamp()) WHERE run_id = :run_id
