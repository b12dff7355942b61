-- Near-copies: what texts are compared by, the clusters that they form in a pipeline, and what a ranking tells of them.

ALTER TABLE rerank.document
    ADD COLUMN signature bytea,   -- MinHash, 128 × 4 bytes, little-endian; null: too short, or prepared without it
    ADD COLUMN marks     text;    -- figures, dates and issue marks that keep two stories in the same words apart

-- Every text that could be compared, and the leader that it joined.
CREATE TABLE rerank.near_copy (
    pipeline           text NOT NULL,
    document_id        bigint NOT NULL REFERENCES rerank.document ON DELETE CASCADE,
    leader_document_id bigint NOT NULL REFERENCES rerank.document DEFERRABLE INITIALLY DEFERRED,   -- its own: it leads
    similarity         real NOT NULL,          -- to the leader that it joined; 1: it leads
    bands              bytea NOT NULL,         -- of the signature, 32 × 4 bytes, little-endian
    article_id         text NOT NULL,          -- the first article with this text
    first_ingested_at  timestamptz NOT NULL,   -- of this article
    began_at           timestamptz NOT NULL,   -- what the age of a cluster counts from, where this text leads it
    promoted_at        timestamptz,            -- its leader was forgotten, and it took the lead; null: it did not
    PRIMARY KEY (pipeline, document_id)
);
CREATE INDEX near_copy_cluster ON rerank.near_copy (leader_document_id, pipeline);
CREATE INDEX near_copy_leaders ON rerank.near_copy (pipeline, first_ingested_at) WHERE document_id = leader_document_id;

-- Null in rows of earlier publications: the article's own text was scored, and its age counted from itself.
ALTER TABLE rerank.ranking
    ADD COLUMN began_at           timestamptz,
    ADD COLUMN copy_sources       text[] NOT NULL DEFAULT '{}',
    ADD COLUMN scored_document_id bigint,
    ADD COLUMN scored_article_id  text;

CREATE OR REPLACE VIEW rerank.current_ranking AS
SELECT p.pipeline, r.slug AS topic, r.rank, r.article_id, r.title, r.url, r.source, r.lang,
       r.published_at, r.first_ingested_at, r.ranked_by, r.logit,
       CASE WHEN r.logit IS NOT NULL   -- least and greatest pass over a null
            THEN 1 / (1 + exp(-greatest(-700, least(700, r.logit::double precision)))) END AS probability,
       r.rank_score, r.light_score,
       r.truncated, r.is_new, r.copies,
       p.as_of, p.run_id, p.version, p.publication_id, r.topic_version_id, r.revision_id, r.document_id,
       r.scorer_id, p.fence AS attempt,
       COALESCE(d.flags, '{}') AS flags,   -- of the text as it is now; none where it was forgotten
       COALESCE(r.began_at, least(r.published_at, r.first_ingested_at)) AS began_at,
       r.copy_sources,
       COALESCE(r.scored_document_id, r.document_id) AS scored_document_id,
       CASE WHEN r.scored_document_id IS NULL THEN r.article_id
            WHEN r.scored_article_id = r.article_id THEN r.article_id
            WHEN NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.scored_article_id)
             AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.scored_article_id)
            THEN r.scored_article_id END AS scored_article_id
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.ranking r USING (publication_id)
LEFT JOIN rerank.document d ON d.document_id = r.document_id
WHERE NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.article_id)
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.article_id);

CREATE OR REPLACE VIEW rerank.recent_ranking AS
SELECT p.pipeline, r.slug AS topic, r.rank, r.article_id, r.title, r.url, r.source, r.lang,
       r.published_at, r.first_ingested_at, r.ranked_by, r.logit,
       CASE WHEN r.logit IS NOT NULL   -- least and greatest pass over a null
            THEN 1 / (1 + exp(-greatest(-700, least(700, r.logit::double precision)))) END AS probability,
       r.rank_score, r.light_score,
       r.truncated, r.is_new, r.copies,
       p.as_of, p.run_id, p.version, p.publication_id, r.topic_version_id, r.revision_id, r.document_id,
       r.scorer_id, p.fence AS attempt,
       COALESCE(d.flags, '{}') AS flags,
       COALESCE(r.began_at, least(r.published_at, r.first_ingested_at)) AS began_at,
       r.copy_sources,
       COALESCE(r.scored_document_id, r.document_id) AS scored_document_id,
       CASE WHEN r.scored_document_id IS NULL THEN r.article_id
            WHEN r.scored_article_id = r.article_id THEN r.article_id
            WHEN NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.scored_article_id)
             AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.scored_article_id)
            THEN r.scored_article_id END AS scored_article_id
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
