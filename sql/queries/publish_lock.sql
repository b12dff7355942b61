-- Publications of one pipeline commit one at a time, so that the pointer is compared with what stands.
SELECT pg_advisory_xact_lock(hashtextextended('rerank.publish:' || :pipeline, 0))
