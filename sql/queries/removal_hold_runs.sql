-- No try of the runs that these pages are of commits until the transaction ends.
SELECT r.run_id
FROM rerank.run r
WHERE r.run_id IN (SELECT p.run_id FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
                   WHERE c.pipeline = ANY(CAST(:pipelines AS text[])))
ORDER BY r.run_id
FOR UPDATE
