-- name: leap
-- Every number that the schema gives out next is larger by so many than the next one was.
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, COALESCE(last_value, start_value) + CAST(:leap AS bigint)) AS value
FROM pg_sequences
WHERE schemaname = 'rerank'
ORDER BY sequencename

-- name: pages
-- The page of every pipeline.
SELECT c.pipeline, p.parquet_path
FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
ORDER BY c.pipeline
