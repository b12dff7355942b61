-- Claims of one pipeline go one at a time: concurrent anti-joins would claim the same rows.
SELECT pg_advisory_xact_lock(hashtextextended('rerank.claim:' || :pipeline, 0))
