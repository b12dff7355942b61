-- The raw text of all revisions of an article.
DELETE FROM rerank.revision_text
WHERE revision_id IN (SELECT r.revision_id FROM rerank.revision r
                      WHERE r.pipeline = ANY(CAST(:pipelines AS text[])) AND r.article_id = :article_id)
