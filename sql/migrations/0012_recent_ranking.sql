-- For readers that page through a ranking: the rows of every publication that is the page, or was within 24 hours. What
-- the page does not show is shown in no older publication either.
CREATE VIEW rerank.recent_ranking AS
SELECT p.pipeline, r.slug AS topic, r.rank, r.article_id, r.title, r.url, r.source, r.lang,
       r.published_at, r.first_ingested_at, r.ranked_by, r.logit,
       CASE WHEN r.logit IS NOT NULL   -- least and greatest pass over a null
            THEN 1 / (1 + exp(-greatest(-700, least(700, r.logit::double precision)))) END AS probability,
       r.rank_score, r.light_score,
       r.truncated, r.is_new, r.copies,
       p.as_of, p.run_id, p.version, p.publication_id, r.topic_version_id, r.revision_id, r.document_id,
       r.scorer_id, p.fence AS attempt,
       COALESCE(d.flags, '{}') AS flags
FROM rerank.publication p
JOIN rerank.ranking r USING (publication_id)
LEFT JOIN rerank.document d ON d.document_id = r.document_id
WHERE (EXISTS (SELECT FROM rerank.pointer c WHERE c.publication_id = p.publication_id)
       OR EXISTS (SELECT FROM rerank.pointer_move m
                  WHERE m.from_publication_id = p.publication_id AND m.moved_at > now() - interval '24 hours')
          -- The page itself shows what its source lost until the next one comes; a page of the past does not.
          AND NOT EXISTS (SELECT FROM rerank.deleted g WHERE g.pipeline = p.pipeline AND g.article_id = r.article_id))
  AND NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.article_id)
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.article_id);

CREATE INDEX pointer_move_from ON rerank.pointer_move (from_publication_id, moved_at);
