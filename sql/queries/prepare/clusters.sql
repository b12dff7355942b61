-- name: new
-- Texts that can be compared and have no place in a cluster yet, each with its first article: texts of the run, and of
-- earlier runs that were never published.
SELECT DISTINCT ON (r.document_id)
       r.document_id, r.article_id, r.first_ingested_at, r.published_at, r.began_at,
       d.lang, d.signature, left(d.text, 600) AS opening
FROM rerank.revision r
JOIN rerank.run u USING (run_id)
JOIN rerank.document d USING (document_id)
WHERE (u.run_id = :run_id OR u.pipeline = :pipeline AND u.published_at IS NULL AND u.until <= :until)
  AND d.signature IS NOT NULL
  AND NOT EXISTS (SELECT FROM rerank.near_copy n WHERE n.pipeline = :pipeline AND n.document_id = r.document_id)
ORDER BY r.document_id, r.first_ingested_at, r.article_id

-- name: compared
-- What a new text may join: all leaders, and corrections that joined one, that were first ingested in a span of time,
-- with the bands of their signatures.
SELECT document_id, encode(bands, 'hex') AS bands
FROM rerank.near_copy
WHERE pipeline = :pipeline AND (document_id = leader_document_id OR corrects) AND first_ingested_at BETWEEN :since AND :until
ORDER BY document_id

-- name: compared_texts
-- What a new text is compared with: the leaders and corrections that share a band with it, the earliest first.
SELECT n.document_id, n.leader_document_id, n.first_ingested_at, n.published_at, d.lang, d.signature, d.text
FROM rerank.near_copy n
JOIN rerank.document d USING (document_id)
WHERE n.pipeline = :pipeline AND n.document_id = ANY(CAST(:document_ids AS bigint[]))
ORDER BY n.first_ingested_at, n.article_id

-- name: contents
-- The texts of new documents that share a band with another text.
SELECT document_id, text FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id

-- name: changed
-- Whether the clusters have changed since new texts were compared with them: another number of leaders and corrections in
-- the span of time, a joined leader that leads no more, or a new text that is placed or gone.
SELECT (SELECT count(*) FROM rerank.near_copy
        WHERE pipeline = :pipeline AND (document_id = leader_document_id OR corrects)
          AND first_ingested_at BETWEEN :since AND :until) <> :compared
    OR (SELECT count(*) FROM rerank.near_copy
        WHERE pipeline = :pipeline AND document_id = leader_document_id
          AND document_id = ANY(CAST(:joined_ids AS bigint[]))) <> cardinality(CAST(:joined_ids AS bigint[]))
    OR (SELECT count(*) FROM rerank.document d
        WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
          AND NOT EXISTS (SELECT FROM rerank.near_copy n WHERE n.pipeline = :pipeline AND n.document_id = d.document_id)
       ) <> cardinality(CAST(:document_ids AS bigint[])) AS changed

-- name: begin_again
-- A cluster begins again if its texts come again long after its leader: the news in it is not as old as the leader.
UPDATE rerank.near_copy l
SET article_id = again.article_id, first_ingested_at = again.first_ingested_at, published_at = again.published_at,
    began_at = again.began_at
FROM (
    SELECT DISTINCT ON (n.leader_document_id)
           n.leader_document_id, r.article_id, r.first_ingested_at, r.published_at, r.began_at
    FROM rerank.revision r
    JOIN rerank.near_copy n ON n.pipeline = r.pipeline AND n.document_id = r.document_id
    JOIN rerank.near_copy l ON l.pipeline = r.pipeline AND l.document_id = n.leader_document_id
    WHERE r.run_id = :run_id AND r.first_ingested_at > l.first_ingested_at + make_interval(secs => :seconds)
    ORDER BY n.leader_document_id, r.first_ingested_at, r.article_id
) again
WHERE l.pipeline = :pipeline AND l.document_id = again.leader_document_id

-- name: promote
-- If a leader is about to be deleted, because no revision has its text any more, the text that joined first takes the
-- lead. That text has no score: the next run treats it as if it had claimed it.
WITH gone AS (
    SELECT d.document_id
    FROM rerank.document d
    WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM rerank.revision r WHERE r.document_id = d.document_id)
), next AS (
    SELECT DISTINCT ON (n.pipeline, n.leader_document_id)
           n.pipeline, n.leader_document_id AS before, n.document_id, l.first_ingested_at, l.began_at
    FROM rerank.near_copy n
    JOIN rerank.near_copy l ON l.pipeline = n.pipeline AND l.document_id = n.leader_document_id
    WHERE n.leader_document_id IN (SELECT document_id FROM gone) AND n.document_id NOT IN (SELECT document_id FROM gone)
    ORDER BY n.pipeline, n.leader_document_id, n.first_ingested_at, n.article_id
)
UPDATE rerank.near_copy n
SET leader_document_id = next.document_id,
    similarity = CASE WHEN n.document_id = next.document_id THEN 1 ELSE n.similarity END,
    first_ingested_at = CASE WHEN n.document_id = next.document_id THEN next.first_ingested_at ELSE n.first_ingested_at END,
    began_at = CASE WHEN n.document_id = next.document_id THEN next.began_at ELSE n.began_at END,
    promoted_at = CASE WHEN n.document_id = next.document_id THEN now() ELSE n.promoted_at END
FROM next
WHERE n.pipeline = next.pipeline AND n.leader_document_id = next.before
  AND n.document_id NOT IN (SELECT document_id FROM gone)
