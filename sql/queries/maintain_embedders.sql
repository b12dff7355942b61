-- The embedders that runs of the pipeline have embedded with.
SELECT e.digest, e.dimensions
FROM rerank.embedder e
WHERE EXISTS (SELECT FROM rerank.run u WHERE u.pipeline = :pipeline AND u.embedder_id = e.embedder_id)
ORDER BY e.embedder_id
