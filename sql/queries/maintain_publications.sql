-- Publications past retention: neither the page nor until lately (recent_ranking shows them for 24 hours), nor the one
-- that the page goes to when a rollback is released. Of all of them, or whether this one is.
SELECT p.publication_id, p.run_id, p.version, p.parquet_path, p.row_count
FROM rerank.publication p
WHERE p.pipeline = :pipeline AND (CAST(:publication_id AS bigint) IS NULL OR p.publication_id = :publication_id)
  AND p.published_at < :before
  AND NOT EXISTS (SELECT FROM rerank.pointer c WHERE c.publication_id = p.publication_id)
  AND NOT EXISTS (SELECT FROM rerank.pointer_move m
                  WHERE m.from_publication_id = p.publication_id
                    AND m.moved_at >= least(CAST(:grace AS timestamptz), now() - interval '24 hours'))
  AND p.publication_id IS DISTINCT FROM (
      SELECT n.publication_id
      FROM rerank.publication n JOIN rerank.run r USING (run_id)
      WHERE n.pipeline = :pipeline
      ORDER BY n.as_of DESC, r.claimed_at DESC, n.version DESC
      LIMIT 1)
ORDER BY p.publication_id
