-- The documents of the freshness window: of each article its latest revision that this run or an earlier one
-- claimed, of equal texts the article that came first and is not blocked. What a run claimed that has not been
-- published is owed by this one, as if it had claimed it.
WITH latest AS (
    SELECT DISTINCT ON (r.article_id)
           r.revision_id, r.article_id, r.number, r.document_id, r.ingested_at, r.first_ingested_at, r.published_at,
           r.run_id = :run_id OR u.published_at IS NULL AS owed,
           EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = r.pipeline AND b.article_id = r.article_id) AS blocked
    FROM rerank.revision r
    JOIN rerank.run u USING (run_id)
    WHERE r.pipeline = :pipeline AND r.first_ingested_at >= :fresh_since AND r.first_ingested_at < :until
      AND (r.run_id = :run_id OR u.until <= :until)
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
