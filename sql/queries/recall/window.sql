-- name: members
-- The articles of the freshness window: the latest revision of each that this run or an earlier run claimed, or any run
-- if the run is as claimed now, in the cluster of its text. Of one source's articles with one link, the newest takes the others into its cluster. In a
-- cluster, articles that are not hidden come first, then those that are the newest of their link, then corrections, the
-- latest first, then articles of a preferred source, then the earliest. If a run was never published, the next published
-- run owes what it claimed, as if it had claimed that itself; so with a text that took the lead of its cluster since.
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
           r.revision_id, r.article_id, r.number, r.document_id, r.ingested_at, r.first_ingested_at, r.published_at, r.began_at, r.source, r.link,
           r.run_id IN (SELECT run_id FROM owing) AS owed,
           h.article_id IS NOT NULL AS blocked
    FROM rerank.revision r
    JOIN rerank.run u USING (run_id)
    LEFT JOIN (SELECT DISTINCT article_id FROM rerank.hidden WHERE pipeline = :pipeline) h USING (article_id)
    WHERE r.pipeline = :pipeline AND r.first_ingested_at >= :fresh_since AND r.first_ingested_at < :until
      AND r.ingested_at < :until
      AND (r.run_id = :run_id OR u.until <= :until OR :as_claimed_now)
      AND (r.document_id IS NOT NULL OR EXISTS (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id))
      -- While the run is being prepared, a text may have no place yet. It may be a copy of another, so its page waits.
      AND (:prepared OR r.document_id IS NULL
           OR EXISTS (SELECT FROM rerank.near_copy n WHERE n.pipeline = :pipeline AND n.document_id = r.document_id)
           OR EXISTS (SELECT FROM rerank.document d WHERE d.document_id = r.document_id AND d.signature IS NULL))
    ORDER BY r.article_id, r.number DESC
), linked AS (
    SELECT latest.*, first_value(document_id) OVER newest AS newest_document_id, row_number() OVER newest AS link_place
    FROM latest
    WHERE document_id IS NOT NULL
    WINDOW newest AS (PARTITION BY source, COALESCE(link, ' ' || article_id)   -- no link begins with a space
                      ORDER BY least(published_at, first_ingested_at) DESC, ingested_at DESC, article_id DESC)
), clustered AS (
    SELECT l.*, COALESCE(n.leader_document_id, l.newest_document_id) AS scored_document_id,
           CASE WHEN COALESCE(n.leader_document_id, l.newest_document_id) = COALESCE(own.leader_document_id, l.document_id)
                THEN COALESCE(own.similarity, 1) END AS similarity,
           COALESCE(own.corrects, false) AS corrects
    FROM linked l
    LEFT JOIN rerank.near_copy n ON n.pipeline = :pipeline AND n.document_id = l.newest_document_id
    LEFT JOIN rerank.near_copy own ON own.pipeline = :pipeline AND own.document_id = l.document_id
), placed AS (
    SELECT clustered.*,
           row_number() OVER (PARTITION BY scored_document_id
                              ORDER BY blocked, link_place, corrects DESC, CASE WHEN corrects THEN first_ingested_at END DESC,
                                       array_position(CAST(:preferred AS text[]), source), first_ingested_at, article_id) AS place,
           first_value(article_id) OVER (PARTITION BY scored_document_id
                                         ORDER BY document_id <> scored_document_id, first_ingested_at, article_id) AS text_article_id,
           first_value(article_id) OVER earliest AS first_article_id,
           first_value(first_ingested_at) OVER earliest AS first_at,
           first_value(began_at) OVER earliest AS first_began_at,
           min(date_trunc('hour', ingested_at)) FILTER (WHERE owed) OVER (PARTITION BY scored_document_id) AS claimed_hour
    FROM clustered
    WINDOW earliest AS (PARTITION BY scored_document_id ORDER BY first_ingested_at, article_id)
)
SELECT p.scored_document_id, d.month, d.lang,
       CASE WHEN COALESCE(n.article_id, p.text_article_id)
                 NOT IN (SELECT h.article_id FROM rerank.hidden h WHERE h.pipeline = :pipeline)
            THEN COALESCE(n.article_id, p.text_article_id) END AS scored_article_id,
       CASE WHEN n.first_ingested_at <= p.first_at THEN n.began_at ELSE p.first_began_at END AS began_at,
       COALESCE(p.claimed_hour,
                CASE WHEN n.promoted_at > COALESCE((SELECT max(u.frozen_at) FROM rerank.run u
                                                    WHERE u.pipeline = :pipeline AND u.published_at IS NOT NULL), '-infinity')
                     THEN date_trunc('hour', p.first_at) END) AS claimed_hour,
       p.document_id, p.similarity, p.revision_id, p.article_id, p.source, p.first_ingested_at, p.published_at,
       p.owed AND p.number = 1 AS is_new
FROM placed p
JOIN rerank.document d ON d.document_id = p.scored_document_id
LEFT JOIN rerank.near_copy n ON n.pipeline = :pipeline AND n.document_id = p.scored_document_id
ORDER BY p.first_at, p.first_article_id, p.scored_document_id, p.place

-- name: claimed_later
-- How many articles of the freshness window this run leaves out because a later run claimed them.
SELECT count(DISTINCT r.article_id) AS articles
FROM rerank.run u
JOIN rerank.revision r USING (run_id)
WHERE u.pipeline = :pipeline AND u.until > :until AND u.run_id <> :run_id
  AND r.first_ingested_at >= :fresh_since AND r.ingested_at < :until
