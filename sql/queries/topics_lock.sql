-- Holds off every other change of the pipeline's topics until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('rerank.topic ' || :pipeline, 0))
