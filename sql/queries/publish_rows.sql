-- The rows of a publication, to name what a rerun changed.
SELECT slug, rank, article_id, COALESCE(scored_document_id, document_id) AS scored_document_id, logit, copies FROM rerank.ranking WHERE publication_id = :publication_id ORDER BY slug, rank
