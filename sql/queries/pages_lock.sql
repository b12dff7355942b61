-- latest.json is replaced by one writer at a time.
SELECT pg_advisory_xact_lock(hashtextextended('rerank.pages:' || :pipeline, 0))
