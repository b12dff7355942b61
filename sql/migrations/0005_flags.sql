-- What was noticed about a text, and how sure its language is.
ALTER TABLE rerank.document
    ADD COLUMN lang_confidence real CHECK (lang_confidence BETWEEN 0 AND 1),   -- null: prepared before it was kept
    ADD COLUMN flags text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN rerank.document.flags IS 'stuffed: repeats words as if written for a ranking; pleads: addresses the model';

CREATE OR REPLACE VIEW rerank.current_ranking AS
SELECT p.pipeline, r.slug AS topic, r.rank, r.article_id, r.title, r.url, r.source, r.lang,
       r.published_at, r.first_ingested_at, r.ranked_by, r.logit,
       CASE WHEN r.logit IS NOT NULL   -- least and greatest pass over a null
            THEN 1 / (1 + exp(-greatest(-700, least(700, r.logit::double precision)))) END AS probability,
       r.rank_score, r.light_score,
       r.truncated, r.is_new, r.copies,
       p.as_of, p.run_id, p.version, p.publication_id, r.topic_version_id, r.revision_id, r.document_id,
       r.scorer_id, p.fence AS attempt,
       COALESCE(d.flags, '{}') AS flags   -- of the text as it is now; none where it was forgotten
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.ranking r USING (publication_id)
LEFT JOIN rerank.document d ON d.document_id = r.document_id
WHERE NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.article_id)
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.article_id);
