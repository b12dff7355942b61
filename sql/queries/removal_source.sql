-- An article of the default source.
DELETE FROM rerank.article WHERE article_id = :article_id
