-- Under which scorers each topic's queries were filled, the latest first. `whole`: they are so still, up to the run
-- that was published last; a topic that a later run passed by (inactive, other query, other scorer) misses documents,
-- a run of an older time ranks another window, and another strategy finds other documents.
SELECT f.slug, f.recall_digest, f.scorer_id,
       f.run_id = newest.run_id AND newest.until <= :until AND newest.recall = :recall AS whole
FROM rerank.fill f
CROSS JOIN (
    SELECT run_id, until, COALESCE(recall, 'bm25') AS recall
    FROM rerank.run
    WHERE pipeline = :pipeline AND published_at IS NOT NULL
    ORDER BY until DESC, claimed_at DESC
    LIMIT 1
) newest
WHERE f.pipeline = :pipeline
ORDER BY f.slug, f.filled_at DESC, f.scorer_id DESC
