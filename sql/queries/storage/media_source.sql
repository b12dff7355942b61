-- name: prints
-- A print of each article's media, of the articles that a run may claim: it changes whenever the media do.
SELECT m.article_id,
       md5(string_agg(md5(concat_ws(chr(31), m.place, m.kind, m.sha256, COALESCE(m.path, ''), COALESCE(m.caption, ''), m.alt)),
                      '' ORDER BY m.place, m.sha256)) AS print
FROM {media} m
JOIN {view} s ON s.article_id = m.article_id
WHERE s.ingested_at >= :since AND s.ingested_at < :until AND s.article_id <> '' AND octet_length(s.article_id) <= 2000
GROUP BY m.article_id

-- name: make_prints
-- Holds the prints until the transaction ends.
CREATE TEMP TABLE medium_print (article_id text PRIMARY KEY, print text NOT NULL) ON COMMIT DROP

-- name: note_changes
-- An article whose media are others than those of its latest revision counts as not claimed at its version.
UPDATE rerank.claim c SET version = c.version || ' '
FROM (
    SELECT latest.article_id
    FROM (
        SELECT DISTINCT ON (r.article_id) r.article_id, r.media
        FROM rerank.revision r
        WHERE r.pipeline = :pipeline AND r.ingested_at >= :since AND r.ingested_at < :until
        ORDER BY r.article_id, r.number DESC
    ) latest
    LEFT JOIN pg_temp.medium_print p ON p.article_id = latest.article_id
    WHERE latest.media IS DISTINCT FROM p.print
) changed
WHERE c.pipeline = :pipeline AND c.article_id = changed.article_id

-- name: make_media
-- Holds the media of a source in another database until the transaction ends.
CREATE TEMP TABLE source_medium (
    article_id text, place bigint, kind text, sha256 text, content bytea, path text, caption text, alt text
) ON COMMIT DROP

-- name: media
-- The media of articles of a source in another database. Of a content that is too large no more is sent than
-- shows that it is.
SELECT article_id, place, kind, sha256, substr(content, 1, :bytes + 1) AS content, path, caption, alt
FROM {media}
WHERE article_id = ANY(CAST(:article_ids AS text[]))

-- name: add_media
-- One medium of a source in another database.
INSERT INTO pg_temp.source_medium (article_id, place, kind, sha256, content, path, caption, alt)
VALUES (:article_id, :place, :kind, :sha256, :content, :path, :caption, :alt)

-- name: keep
-- The media of what a run has claimed, the first ones of each article; the rest is counted. A content that is too large is null.
WITH numbered AS (
    SELECT r.revision_id, m.kind, m.sha256, m.content, m.path, m.caption, m.alt, v.is_valid,
           row_number() OVER (PARTITION BY r.revision_id, v.is_valid ORDER BY m.place, m.sha256) AS number
    FROM rerank.revision r
    JOIN {media} m ON m.article_id = r.article_id
    CROSS JOIN LATERAL (
        SELECT COALESCE(m.place > 0 AND m.kind IN ('picture', 'video') AND m.sha256 ~ '^[0-9a-f]{64}$'
                        AND num_nonnulls(m.content, m.path) = 1, false) AS is_valid
    ) v
    WHERE r.run_id = :run_id
), kept AS (
    INSERT INTO rerank.revision_medium (revision_id, place, kind, sha256, content, path, caption, alt)
    SELECT revision_id, number, kind, sha256,
           CASE WHEN :contents AND octet_length(content) <= :bytes THEN content END, path, left(caption, 5000), left(alt, 5000)
    FROM numbered
    WHERE is_valid AND number <= :most
    RETURNING revision_id
), marked AS (
    UPDATE rerank.revision r SET media = p.print
    FROM pg_temp.medium_print p
    WHERE r.run_id = :run_id AND r.article_id = p.article_id
)
SELECT (SELECT count(*) FROM kept) AS media_claimed,
       count(*) FILTER (WHERE is_valid AND number > :most) AS media_over_limit,
       count(*) FILTER (WHERE NOT is_valid) AS media_invalid
FROM numbered

-- name: count
-- Where the media of what a run has claimed went.
INSERT INTO rerank.run_metric AS m (run_id, stage, name, value)
SELECT :run_id, 'extract', name, value
FROM unnest(CAST(:names AS text[]), CAST(:values AS double precision[])) AS t (name, value)
ON CONFLICT (run_id, stage, name) DO UPDATE SET value = EXCLUDED.value, recorded_at = now()
