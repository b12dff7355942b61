-- A publication is a new version of its run, never an overwrite.
INSERT INTO rerank.publication (pipeline, run_id, version, fence, as_of, parquet_path, parquet_sha256, rows_sha256, row_count, degraded, difference, trimmed, blocked)
VALUES (:pipeline, :run_id, :version, :fence, :as_of, :parquet_path, :parquet_sha256, :rows_sha256, :row_count, :degraded, :difference, :trimmed, :blocked)
RETURNING publication_id
