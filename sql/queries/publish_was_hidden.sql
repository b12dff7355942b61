-- What a publication left out of its window.
SELECT article_id, why FROM rerank.publication_hidden WHERE publication_id = :publication_id ORDER BY article_id
