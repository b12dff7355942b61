-- The table of an embedder's vectors is there.
SELECT rerank.ensure_vectors(:embedder_id, :dimensions)
