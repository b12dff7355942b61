-- name: totals
-- Sums over all topics of a frozen run: where the documents of the window went, and what was over the budget.
SELECT count(*) AS topics, COALESCE(sum(left_out), 0) AS left_out, COALESCE(sum(ineligible), 0) AS ineligible,
       COALESCE(sum(not_searched), 0) AS not_searched, COALESCE(sum(not_recalled), 0) AS not_recalled,
       COALESCE(sum(not_recalled_language), 0) AS not_recalled_language
FROM rerank.run_topic
WHERE run_id = :run_id

-- name: thaw
-- The topics of a run that was frozen early: it is frozen again now.
DELETE FROM rerank.run_topic WHERE run_id = :run_id

-- name: freeze
-- Freezes the run: from now on every try of it ranks these members and pairs by this scorer. A run that was frozen early, for a
-- late page, is frozen again once.
UPDATE rerank.run
SET scorer_id = :scorer_id, members_path = :members_path, members_sha256 = :members_sha256,
    pairs_path = :pairs_path, pairs_sha256 = :pairs_sha256, recall = :recall, early = :early, frozen_at = now()
WHERE run_id = :run_id AND (frozen_at IS NULL OR early)

-- name: filled
-- The scorers that each topic was filled under, the latest first. `whole` says whether the topic still is filled. It is
-- not if a later run passed it by (inactive, other query, other scorer), because documents are then missing; nor for a run
-- of an older time, which ranks another window; nor for another strategy, which finds other documents.
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
