-- name: counts
-- The number of source rows in each bucket when the run claimed.
SELECT sighted, claimed, unchanged, too_late, later, COALESCE(forgotten, 0) AS forgotten, invalid, dates_ignored
FROM rerank.run WHERE run_id = :run_id

-- name: claim
-- Claims every new revision for the run, stages its raw text, and counts each source row in exactly one bucket. Keys are
-- looked at once, and rows with their texts only if the key is new: a long history costs one pass over its keys.
WITH sighted AS (
    SELECT s.article_id,
           CASE WHEN c.version = s.version AND s.ingested_at < :until AND t.article_id IS NULL THEN 'unchanged'   -- nearly all
                WHEN s.article_id IS NULL OR s.article_id = '' OR octet_length(s.article_id) > 2000
                     OR s.version IS NULL OR s.ingested_at IS NULL THEN 'invalid'
                WHEN s.ingested_at >= :until THEN 'later'
                WHEN t.article_id IS NOT NULL THEN 'forgotten'
                WHEN s.ingested_at < :since THEN 'too_late'
                ELSE 'fresh' END AS bucket
    FROM {keys} s
    LEFT JOIN rerank.claim c ON c.pipeline = :pipeline AND c.article_id = s.article_id
    LEFT JOIN rerank.tombstone t ON t.pipeline = :pipeline AND t.article_id = s.article_id
    OFFSET 0   -- or the bucket of each row would be found again for each count
), tally AS (
    SELECT count(*) AS sighted,
           count(*) FILTER (WHERE bucket = 'invalid') AS invalid,
           count(*) FILTER (WHERE bucket = 'later') AS later,
           count(*) FILTER (WHERE bucket = 'forgotten') AS forgotten,
           count(*) FILTER (WHERE bucket = 'unchanged') AS unchanged,
           count(*) FILTER (WHERE bucket = 'too_late') AS too_late,
           array_agg(article_id) FILTER (WHERE bucket = 'fresh') AS fresh
    FROM sighted
), changed AS MATERIALIZED (
    SELECT nextval('rerank.revision_revision_id_seq') AS revision_id, c.*,
           -- An article that a source dates long before its ingestion, or not at all, counts from its ingestion.
           CASE WHEN c.published_at >= c.first_ingested_at - CAST(:longest_age AS interval)
                THEN least(c.published_at, c.first_ingested_at) ELSE c.first_ingested_at END AS began_at
    FROM (
        SELECT s.article_id, s.version, s.ingested_at, s.title, s.summary, s.body, s.lang, s.source,
               NULLIF(btrim(translate(s.url, E'\t\n\r', ''), :blanks), '') AS url,   -- as a browser reads it
               CASE WHEN s.published_at > '0001-01-02' AND s.published_at < '9999-12-30'   -- what Python can hold
                     AND NOT EXISTS (SELECT FROM unnest(CAST(:zeros AS timestamptz[])) zero
                                     WHERE s.published_at BETWEEN zero - CAST(:zones AS interval) AND zero + CAST(:zones AS interval))
                    THEN s.published_at END AS published_at,
               s.published_at IS NOT NULL AS dated,
               COALESCE(c.number, 0) + 1 AS number,
               COALESCE(c.first_ingested_at, s.ingested_at) AS first_ingested_at
        FROM (SELECT DISTINCT unnest(fresh) AS article_id FROM tally) f
        JOIN {rows} s USING (article_id)
        LEFT JOIN rerank.claim c ON c.pipeline = :pipeline AND c.article_id = s.article_id
        WHERE s.ingested_at >= :since AND s.ingested_at < :until AND c.version IS DISTINCT FROM s.version
        ORDER BY s.article_id
    ) c
), claimed AS (
    INSERT INTO rerank.claim (pipeline, article_id, version, number, first_ingested_at)
    SELECT :pipeline, article_id, version, number, first_ingested_at
    FROM changed
    ORDER BY revision_id
    ON CONFLICT (pipeline, article_id) DO UPDATE SET version = EXCLUDED.version, number = EXCLUDED.number
), staged AS (
    INSERT INTO rerank.revision (revision_id, pipeline, article_id, number, version, run_id, ingested_at, first_ingested_at,
                                 published_at, began_at, url, source, lang) OVERRIDING SYSTEM VALUE
    SELECT revision_id, :pipeline, article_id, number, version, :run_id, ingested_at, first_ingested_at, published_at, began_at, url, source, lang
    FROM changed
    ORDER BY revision_id
), texts AS (
    INSERT INTO rerank.revision_text (revision_id, title, summary, body)
    SELECT revision_id, title, summary, body FROM changed ORDER BY revision_id
    RETURNING revision_id
)
SELECT tally.sighted, tally.invalid, tally.later, tally.forgotten, tally.unchanged, tally.too_late,
       (SELECT count(*) FROM texts) AS claimed,
       (SELECT count(*) FROM changed
        WHERE dated AND (published_at IS NULL OR published_at < first_ingested_at - CAST(:longest_age AS interval))) AS dates_ignored
FROM tally

-- name: claimed
-- Marks the run as claimed, with the number of source rows in each bucket. From here on it claims nothing more.
UPDATE rerank.run
SET claimed_at = clock_timestamp(), sighted = :sighted, claimed = :claimed, unchanged = :unchanged, too_late = :too_late,
    later = :later, forgotten = :forgotten, invalid = :invalid, dates_ignored = :dates_ignored
WHERE run_id = :run_id

-- name: duplicates_claimed
-- Articles that this run has claimed and that the source view shows more than once. All are counted before any is shown:
-- planned for the first three alone, it would read every key of the source.
WITH counted AS MATERIALIZED (
    SELECT k.article_id, count(*) AS rows
    FROM {keys} k
    WHERE k.article_id IN (SELECT r.article_id FROM rerank.revision r WHERE r.run_id = :run_id)
    GROUP BY k.article_id
)
SELECT article_id, rows FROM counted WHERE rows > 1 ORDER BY article_id LIMIT 3

-- name: duplicates
-- Articles that the source view shows more than once.
SELECT k.article_id, count(*) AS rows
FROM {keys} k
WHERE k.article_id IS NOT NULL
GROUP BY k.article_id
HAVING count(*) > 1
ORDER BY k.article_id
LIMIT 3

-- name: fresh
-- How many of a run's revisions are young enough to be ranked now.
SELECT count(*) FILTER (WHERE first_ingested_at >= now() - make_interval(secs => :fresh_seconds)) AS fresh
FROM rerank.revision WHERE run_id = :run_id
