-- All publications of a pipeline.
SELECT count(*) AS publications FROM rerank.publication WHERE pipeline = :pipeline
