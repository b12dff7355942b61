-- Runs past retention that no publication is left of, and that still have something to be deleted. The run itself
-- stays, so that its key is never given to another window. Of all of them, or whether this one is.
SELECT u.run_id, u.key, array_remove(ARRAY[u.members_path, u.pairs_path, u.light_path], NULL) AS paths
FROM rerank.run u
WHERE u.pipeline = :pipeline AND (CAST(:run_id AS bigint) IS NULL OR u.run_id = :run_id)
  AND COALESCE(u.published_at, u.created_at) < :before
  AND NOT EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = u.run_id)
  AND (u.members_path IS NOT NULL OR u.pairs_path IS NOT NULL OR u.light_path IS NOT NULL
       OR EXISTS (SELECT FROM rerank.run_topic t WHERE t.run_id = u.run_id)
       OR EXISTS (SELECT FROM rerank.run_metric m WHERE m.run_id = u.run_id)
       OR EXISTS (SELECT FROM rerank.score_aside s WHERE s.aside_for = u.run_id)
       OR EXISTS (SELECT FROM rerank.scoring_attempt a WHERE a.run_id = u.run_id))
ORDER BY u.run_id
