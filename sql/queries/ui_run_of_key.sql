-- The run of a pipeline with this key.
SELECT run_id FROM rerank.run WHERE pipeline = :pipeline AND key = :key
