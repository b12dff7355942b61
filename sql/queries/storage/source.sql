-- name: columns
-- The source view's columns and types, to check its contract.
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type
FROM pg_attribute a
WHERE a.attrelid = to_regclass(:view) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: readable
-- Whether this role may read the source view; null if the view does not exist.
SELECT has_table_privilege(to_regclass(:view), 'SELECT') AS readable

-- name: make_keys
-- Holds the keys of a source in another database until the transaction ends.
CREATE TEMP TABLE source_key (article_id text, version text, ingested_at timestamptz) ON COMMIT DROP

-- name: make_rows
-- Holds the rows of a source in another database until the transaction ends.
CREATE TEMP TABLE source_row (
    article_id   text,
    version      text,
    ingested_at  timestamptz,
    url          text,
    title        text,
    summary      text,
    body         text,
    lang         text,
    source       text,
    published_at timestamptz
) ON COMMIT DROP

-- name: keys
-- Every key of a source in another database; bodies are not read.
SELECT article_id, version, CASE WHEN ingested_at BETWEEN '0001-01-02' AND '9999-12-30' THEN ingested_at END AS ingested_at
FROM {view}

-- name: analyze_keys
-- Tells the planner how many keys there are; without it, the claim would be planned for a handful.
ANALYZE pg_temp.source_key

-- name: new
-- Keys whose version was not claimed yet, for a source in another database: only their bodies are read.
SELECT s.article_id
FROM {keys} s
LEFT JOIN rerank.claim c ON c.pipeline = :pipeline AND c.article_id = s.article_id
WHERE s.ingested_at >= :since AND s.ingested_at < :until AND s.version IS NOT NULL
  AND s.article_id <> '' AND octet_length(s.article_id) <= 2000
  AND c.version IS DISTINCT FROM s.version
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = :pipeline AND t.article_id = s.article_id)
ORDER BY s.article_id

-- name: rows
-- The rows behind changed keys. A date that Python cannot hold becomes the least or the greatest that it can: the claim
-- counts such a date as none.
SELECT article_id, version, ingested_at, url, title, summary, body, lang, source,
       CASE WHEN published_at < '0001-01-02' THEN '0001-01-02' WHEN published_at > '9999-12-30' THEN '9999-12-30'
            ELSE published_at END AS published_at
FROM {view}
WHERE article_id = ANY(CAST(:article_ids AS text[]))

-- name: absent
-- Articles that the source view does not have any more.
SELECT w.article_id
FROM unnest(CAST(:article_ids AS text[])) AS w (article_id)
WHERE NOT EXISTS (SELECT FROM {view} s WHERE s.article_id = w.article_id)
ORDER BY w.article_id

-- name: first
-- An article of the source view, if it has any at all.
SELECT article_id FROM {view} LIMIT 1

-- name: article
-- The article as the source shows it now.
SELECT version, ingested_at FROM {view} WHERE article_id = :article_id ORDER BY version LIMIT 1
