-- What the run knew of an article: its latest revision that this run or an earlier one claimed, and the claim that
-- came after it where there is one.
SELECT r.revision_id, r.number, r.version, r.run_id AS claimed_by, r.ingested_at, r.first_ingested_at, r.published_at,
       r.title, r.document_id, d.digest, d.length, d.lang, d.lang_confidence, d.flags, d.month, q.stage AS quarantine_stage, q.reason AS quarantine_reason
FROM rerank.revision r
JOIN rerank.run u USING (run_id)
LEFT JOIN rerank.document d USING (document_id)
LEFT JOIN rerank.quarantine q USING (revision_id)
WHERE r.pipeline = :pipeline AND r.article_id = :article_id AND (r.run_id = :run_id OR u.until <= :until)
ORDER BY r.number DESC
LIMIT 1
