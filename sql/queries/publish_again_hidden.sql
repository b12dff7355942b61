-- What a publication leaves out that is published again: what it left out before, and what was forgotten since.
INSERT INTO rerank.publication_hidden (publication_id, article_id, why)
SELECT :publication_id, h.article_id, h.why
FROM rerank.publication_hidden h
WHERE h.publication_id = :before
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = :pipeline AND t.article_id = h.article_id)
UNION
SELECT :publication_id, t.article_id, 'forgotten'
FROM rerank.tombstone t
WHERE t.pipeline = :pipeline
  AND (EXISTS (SELECT FROM rerank.publication_hidden h WHERE h.publication_id = :before AND h.article_id = t.article_id)
       OR EXISTS (SELECT FROM rerank.ranking r WHERE r.publication_id = :before AND r.article_id = t.article_id))
