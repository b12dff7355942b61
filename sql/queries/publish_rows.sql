-- The rows of a publication, to name what a rerun changed.
SELECT slug, rank, article_id, document_id, logit FROM rerank.ranking WHERE publication_id = :publication_id ORDER BY slug, rank
