-- No try of the runs that these pages are of commits until the transaction ends. Rows may still be tied to the runs:
-- a scorer that refuses a pair holds its document then, which forgetting locks next.
SELECT r.run_id
FROM rerank.run r
WHERE r.run_id IN (SELECT p.run_id FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
                   WHERE c.pipeline = ANY(CAST(:pipelines AS text[])))
ORDER BY r.run_id
FOR NO KEY UPDATE
