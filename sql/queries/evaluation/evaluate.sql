-- name: topics
-- The topics that a run has frozen.
SELECT slug FROM rerank.run_topic WHERE run_id = :run_id ORDER BY slug

-- name: documents
-- The document of each of these articles, as the run saw them: its latest revision that this run or an earlier one claimed.
SELECT DISTINCT ON (r.article_id) r.article_id, r.document_id
FROM rerank.revision r
JOIN rerank.run u USING (run_id)
WHERE r.pipeline = :pipeline AND r.article_id = ANY(CAST(:article_ids AS text[]))
  AND (r.run_id = :run_id OR u.until <= :until)
ORDER BY r.article_id, r.number DESC

-- name: scorer
-- Whether a scorer is registered.
SELECT scorer_id FROM rerank.scorer WHERE scorer_id = :scorer_id
