-- name: tally
-- Counts the articles that each run of a pipeline was the first to claim, by source, language and hour of ingestion; runs that
-- were counted before are left out.
INSERT INTO rerank.arrival (run_id, source, lang, hour, articles)
SELECT v.run_id, COALESCE(v.source, ''), COALESCE(d.lang, ''), date_trunc('hour', v.first_ingested_at), count(*)
FROM rerank.run u
JOIN rerank.revision v USING (run_id)
LEFT JOIN rerank.document d USING (document_id)
WHERE u.pipeline = :pipeline AND u.until > :since AND u.until <= :until AND u.prepared_at IS NOT NULL AND v.number = 1
  AND NOT EXISTS (SELECT FROM rerank.arrival a WHERE a.run_id = u.run_id)
GROUP BY v.run_id, COALESCE(v.source, ''), COALESCE(d.lang, ''), date_trunc('hour', v.first_ingested_at)
ORDER BY v.run_id
ON CONFLICT DO NOTHING

-- name: trim
-- Counts of runs before this time tell nothing any more.
DELETE FROM rerank.arrival a USING rerank.run u WHERE u.run_id = a.run_id AND u.pipeline = :pipeline AND u.until <= :since

-- name: counts
-- Articles by source, language and hour since 1970.
SELECT a.source, a.lang, CAST(EXTRACT(EPOCH FROM a.hour) / 3600 AS bigint) AS hour, CAST(sum(a.articles) AS bigint) AS articles
FROM rerank.arrival a
JOIN rerank.run u USING (run_id)
WHERE u.pipeline = :pipeline AND u.until <= :until AND a.hour >= :since AND a.hour < :until
GROUP BY a.source, a.lang, a.hour
ORDER BY a.hour

-- name: keep
-- Keeps with a run what was silent at its as-of time.
UPDATE rerank.run SET silences = CAST(:silences AS jsonb) WHERE run_id = :run_id

-- name: told
-- What was silent at the run before, and when this run was looked at earlier.
SELECT silences
FROM rerank.run
WHERE pipeline = :pipeline AND silences IS NOT NULL
  AND (run_id = :run_id
       OR until = (SELECT max(b.until) FROM rerank.run b
                   WHERE b.pipeline = :pipeline AND b.silences IS NOT NULL AND b.until < :until))
ORDER BY run_id

-- name: later
-- Whether a run of a later as-of time was looked at already.
SELECT EXISTS (SELECT FROM rerank.run WHERE pipeline = :pipeline AND silences IS NOT NULL AND until > :until) AS found

-- name: latest
-- What was silent at the latest run that has looked, and its as-of time.
SELECT run_id, until, silences
FROM rerank.run
WHERE pipeline = :pipeline AND silences IS NOT NULL
ORDER BY until DESC, run_id DESC
LIMIT 1
