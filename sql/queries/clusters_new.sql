-- Texts of the run's revisions, and of runs that were never published, that can be compared and have no place in a
-- cluster yet; each with the first article of it.
SELECT DISTINCT ON (r.document_id)
       r.document_id, r.article_id, r.first_ingested_at, least(r.published_at, r.first_ingested_at) AS began_at,
       d.lang, d.signature, d.marks
FROM rerank.revision r
JOIN rerank.run u USING (run_id)
JOIN rerank.document d USING (document_id)
WHERE (u.run_id = :run_id OR u.pipeline = :pipeline AND u.published_at IS NULL AND u.until <= :until)
  AND d.signature IS NOT NULL
  AND NOT EXISTS (SELECT FROM rerank.near_copy n WHERE n.pipeline = :pipeline AND n.document_id = r.document_id)
ORDER BY r.document_id, r.first_ingested_at, r.article_id
