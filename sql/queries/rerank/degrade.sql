-- name: keep_order
-- The light order that the page of this run falls back on.
UPDATE rerank.run SET light_path = :path, light_sha256 = :sha256 WHERE run_id = :run_id

-- name: embedder
-- An embedder whose vectors of documents are kept in Postgres.
SELECT embedder_id
FROM rerank.embedder
WHERE digest = :digest AND to_regclass(format('rerank.vector_%s', embedder_id)) IS NOT NULL
