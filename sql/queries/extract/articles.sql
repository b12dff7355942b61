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
