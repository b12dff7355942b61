-- The pipelines that have claimed an article, this one among them whether or not it has; another one only where its
-- article entered the source at the same moment, and so is the same row, at whatever version each has claimed it. Claims
-- stay when the revisions of one are past retention.
SELECT :pipeline AS pipeline
UNION
SELECT other.pipeline
FROM rerank.revision mine
JOIN rerank.revision other ON other.article_id = mine.article_id AND other.ingested_at = mine.ingested_at
WHERE mine.pipeline = :pipeline AND mine.article_id = :article_id
UNION
SELECT other.pipeline
FROM rerank.claim mine
JOIN rerank.claim other ON other.article_id = mine.article_id AND other.first_ingested_at = mine.first_ingested_at
WHERE mine.pipeline = :pipeline AND mine.article_id = :article_id
ORDER BY pipeline
