-- The rows of the current page, as frontends see them.
SELECT topic, rank, article_id, title, url, source, lang, published_at, first_ingested_at, ranked_by, logit, probability,
       rank_score, light_score, truncated, is_new, copies, flags, revision_id,
       began_at, copy_sources, scored_document_id, scored_article_id
FROM rerank.current_ranking
WHERE pipeline = :pipeline
ORDER BY topic, rank
