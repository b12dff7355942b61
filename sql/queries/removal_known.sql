-- Whether the pipeline has claimed an article, and the topics whose current ranking has it.
SELECT EXISTS (SELECT FROM rerank.claim c WHERE c.pipeline = :pipeline AND c.article_id = :article_id) AS claimed,
       COALESCE((SELECT array_agg(r.slug ORDER BY r.slug)
                 FROM rerank.pointer c JOIN rerank.ranking r USING (publication_id)
                 WHERE c.pipeline = :pipeline AND r.article_id = :article_id), '{}') AS topics
