-- The article may be shown again.
DELETE FROM rerank.block WHERE pipeline = :pipeline AND article_id = :article_id
