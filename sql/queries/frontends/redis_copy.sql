-- name: topics
-- Every topic that the pipeline has ever had: keys of those that left the page are deleted.
SELECT slug FROM rerank.topic WHERE pipeline = :pipeline ORDER BY slug
