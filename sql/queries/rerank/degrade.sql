-- name: keep_order
-- The light order that the page of this run falls back on.
UPDATE rerank.run SET light_path = :path, light_sha256 = :sha256 WHERE run_id = :run_id
