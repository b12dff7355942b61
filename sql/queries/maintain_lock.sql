-- Two clean-ups take turns, a transaction at a time.
SELECT pg_advisory_xact_lock(hashtextextended('rerank.maintain', 0))
