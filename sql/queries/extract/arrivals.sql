-- name: since
-- From when on articles may wait: shortly before the end of the newest window that was claimed.
SELECT greatest(COALESCE(max(until), '-infinity') - CAST(:overlap AS interval), now() - CAST(:lookback AS interval)) AS since
FROM rerank.run
WHERE pipeline = :pipeline AND claimed_at IS NOT NULL

-- name: keys
-- Keys of the newest articles of the source, of those that a claim takes; an index on ingested_at answers it.
SELECT article_id, version, ingested_at
FROM {view}
WHERE ingested_at >= :since AND ingested_at <= now()
  AND article_id <> '' AND octet_length(article_id) <= 2000 AND version IS NOT NULL
ORDER BY ingested_at DESC, article_id
LIMIT :limit

-- name: unclaimed
-- How many of these articles wait for a run, and when the newest of them came.
SELECT count(*) AS articles, max(k.ingested_at) AS newest
FROM unnest(CAST(:article_ids AS text[]), CAST(:versions AS text[]), CAST(:moments AS timestamptz[])) AS k (article_id, version, ingested_at)
LEFT JOIN rerank.claim c ON c.pipeline = :pipeline AND c.article_id = k.article_id
WHERE c.version IS DISTINCT FROM k.version
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = :pipeline AND t.article_id = k.article_id)
