-- What a publication left out of its window.
INSERT INTO rerank.publication_hidden (publication_id, article_id, why)
SELECT :publication_id, article_id, why
FROM unnest(CAST(:article_ids AS text[]), CAST(:whys AS text[])) AS h (article_id, why)
ORDER BY article_id
