-- The row that stands for a cluster in a topic's ranking, in the latest version that a run has published.
SELECT r.rank, r.article_id
FROM rerank.ranking r
WHERE r.publication_id = (SELECT p.publication_id FROM rerank.publication p WHERE p.run_id = :run_id ORDER BY p.version DESC LIMIT 1)
  AND r.slug = :slug AND COALESCE(r.scored_document_id, r.document_id) = :document_id
