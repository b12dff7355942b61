-- The documents of the freshness window: of each article its latest revision that this run or an earlier one
-- claimed, of equal texts the article that came first and is not hidden. What a run claimed that was never
-- published is owed by the next one that is, as if that had claimed it.
WITH owing AS (
    SELECT u.run_id
    FROM rerank.run u
    WHERE u.pipeline = :pipeline
      AND (u.run_id = :run_id
           OR u.published_at IS NULL AND NOT EXISTS (
               SELECT FROM rerank.run p
               WHERE p.pipeline = :pipeline AND p.published_at IS NOT NULL
                 AND p.prepared_at > u.claimed_at AND p.until >= u.until))
), latest AS (
    SELECT DISTINCT ON (r.article_id)
           r.revision_id, r.article_id, r.number, r.document_id, r.ingested_at, r.first_ingested_at, r.published_at,
           r.run_id IN (SELECT run_id FROM owing) AS owed,
           EXISTS (SELECT FROM rerank.hidden h WHERE h.pipeline = r.pipeline AND h.article_id = r.article_id) AS blocked
    FROM rerank.revision r
    JOIN rerank.run u USING (run_id)
    WHERE r.pipeline = :pipeline AND r.first_ingested_at >= :fresh_since AND r.first_ingested_at < :until
      AND (r.run_id = :run_id OR u.until <= :until)
      AND (r.document_id IS NOT NULL OR EXISTS (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id))
    ORDER BY r.article_id, r.number DESC
), copies AS (
    SELECT latest.*,
           row_number() OVER one_text AS place,
           count(*) OVER (PARTITION BY document_id) AS copies,
           min(date_trunc('hour', ingested_at)) FILTER (WHERE owed) OVER (PARTITION BY document_id) AS claimed_hour
    FROM latest
    WHERE document_id IS NOT NULL
    WINDOW one_text AS (PARTITION BY document_id ORDER BY blocked, first_ingested_at, article_id)
)
SELECT c.document_id, d.month, d.lang, c.revision_id, c.article_id, c.first_ingested_at, c.published_at, c.copies,
       c.claimed_hour, c.owed AND c.number = 1 AS is_new
FROM copies c
JOIN rerank.document d USING (document_id)
WHERE c.place = 1
ORDER BY c.first_ingested_at, c.article_id
