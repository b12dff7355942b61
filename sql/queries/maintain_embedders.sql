-- The embedders that runs of the pipeline have embedded with; `in_use`: the newest such run of some pipeline did.
SELECT e.digest, e.dimensions,
       e.embedder_id IN (SELECT DISTINCT ON (n.pipeline) n.embedder_id FROM rerank.run n
                         WHERE n.embedder_id IS NOT NULL ORDER BY n.pipeline, n.run_id DESC) AS in_use
FROM rerank.embedder e
WHERE EXISTS (SELECT FROM rerank.run u WHERE u.pipeline = :pipeline AND u.embedder_id = e.embedder_id)
ORDER BY e.embedder_id
