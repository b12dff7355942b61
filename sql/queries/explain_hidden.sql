-- Why an article is hidden now: forgotten before blocked before deleted; with the reason that a person gave.
SELECT h.why, COALESCE(t.reason, b.reason) AS reason
FROM rerank.hidden h
LEFT JOIN rerank.tombstone t ON h.why = 'forgotten' AND t.pipeline = h.pipeline AND t.article_id = h.article_id
LEFT JOIN rerank.block b ON h.why = 'blocked' AND b.pipeline = h.pipeline AND b.article_id = h.article_id
WHERE h.pipeline = :pipeline AND h.article_id = :article_id
ORDER BY h.why = 'forgotten' DESC, h.why = 'blocked' DESC
LIMIT 1
