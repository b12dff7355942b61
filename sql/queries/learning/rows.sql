-- name: rows
-- What readers did with each row of each page, the newest pages first. A row that was opened was on screen, even if nobody
-- said so. Null where the publication is past its retention.
SELECT topic, topic_version_id, scored_document_id AS document_id, rank, as_of, CAST(extract(epoch FROM age) / 3600 AS double precision) AS age_hours,
       began_at, logit, ranked_by, source, scorer_id, greatest(impressions, opens) AS impressions, opens, hides
FROM (
    SELECT f.topic, f.topic_version_id, f.scored_document_id, f.rank, f.as_of, f.age, f.began_at, f.logit, f.ranked_by, f.scorer_id,
           r.source,
           CAST(COALESCE(sum(f.events) FILTER (WHERE f.event = 'impression'), 0) AS bigint) AS impressions,
           CAST(COALESCE(sum(f.events) FILTER (WHERE f.event = 'open'), 0) AS bigint) AS opens,
           CAST(COALESCE(sum(f.events) FILTER (WHERE f.event = 'hide'), 0) AS bigint) AS hides
    FROM rerank.ranking_feedback f
    LEFT JOIN rerank.revision r USING (revision_id)
    WHERE f.pipeline = :pipeline AND (f.as_of >= :since OR f.as_of IS NULL)
    GROUP BY f.run_id, f.topic, f.topic_version_id, f.scored_document_id, f.rank, f.as_of, f.age, f.began_at, f.logit, f.ranked_by,
             f.scorer_id, f.revision_id, r.source
) seen
ORDER BY as_of DESC NULLS LAST, topic, rank
LIMIT :most
