-- name: stage
-- Holds one batch of a file until it is merged into the article source.
CREATE TEMP TABLE article_batch (
    article_id   text PRIMARY KEY,
    title        text NOT NULL,
    url          text,
    summary      text,
    body         text,
    lang         text,
    source       text,
    published_at timestamptz
) ON COMMIT DROP

-- name: merge
-- Merges the batch into the article source in key order, and counts what was new and what was changed.
WITH merged AS (
    INSERT INTO rerank.article AS a (article_id, title, url, summary, body, lang, source, published_at)
    SELECT article_id, title, url, summary, body, lang, source, published_at
    FROM pg_temp.article_batch
    ORDER BY article_id
    ON CONFLICT (article_id) DO UPDATE
    SET title = EXCLUDED.title, url = EXCLUDED.url, summary = EXCLUDED.summary, body = EXCLUDED.body,
        lang = EXCLUDED.lang, source = EXCLUDED.source, published_at = EXCLUDED.published_at
    WHERE (a.title, a.url, a.summary, a.body, a.lang, a.source, a.published_at) IS DISTINCT FROM
          (EXCLUDED.title, EXCLUDED.url, EXCLUDED.summary, EXCLUDED.body, EXCLUDED.lang, EXCLUDED.source,
           EXCLUDED.published_at)
    RETURNING a.xmax = 0 AS inserted   -- a row that was there before carries the lock of this transaction
)
SELECT count(*) FILTER (WHERE inserted) AS inserted, count(*) FILTER (WHERE NOT inserted) AS updated
FROM merged

-- name: now
-- The time that the newest article of a sample is moved to.
SELECT now() AS now

-- name: stage_media
-- Holds the media of one batch of a file.
CREATE TEMP TABLE medium_batch (
    article_id text NOT NULL, place integer NOT NULL, kind text NOT NULL, sha256 text NOT NULL, content bytea NOT NULL,
    caption text, alt text, PRIMARY KEY (article_id, place)
) ON COMMIT DROP

-- name: add_medium
-- One medium of a batch.
INSERT INTO pg_temp.medium_batch (article_id, place, kind, sha256, content, caption, alt)
VALUES (:article_id, :place, :kind, :sha256, :content, :caption, :alt)

-- name: drop_media
-- Media of the batch's articles that the file does not name, or names with another content or caption.
DELETE FROM rerank.article_medium a
WHERE a.article_id IN (SELECT b.article_id FROM pg_temp.article_batch b)
  AND NOT EXISTS (SELECT FROM pg_temp.medium_batch m
                  WHERE m.article_id = a.article_id AND m.place = a.place AND a.content IS NOT NULL
                    AND (m.kind, m.sha256, m.caption, m.alt) IS NOT DISTINCT FROM (a.kind, a.sha256, a.caption, a.alt))

-- name: merge_media
-- The media that an article does not have yet.
INSERT INTO rerank.article_medium (article_id, place, kind, sha256, content, caption, alt)
SELECT article_id, place, kind, sha256, content, caption, alt
FROM pg_temp.medium_batch
ORDER BY article_id, place
ON CONFLICT (article_id, place) DO NOTHING
