-- name: light
-- The light order that the page falls back on.
UPDATE rerank.run SET light_path = :path, light_sha256 = :sha256 WHERE run_id = :run_id
