-- Deleted, blocked and forgotten articles; rollbacks.

ALTER TABLE rerank.block ADD COLUMN actor text;
ALTER TABLE rerank.block ALTER COLUMN actor SET DEFAULT session_user;

-- A forgotten article: its text is gone, and no claim brings it back.
CREATE TABLE rerank.tombstone (
    pipeline     text NOT NULL,
    article_id   text NOT NULL,
    reason       text NOT NULL,
    actor        text NOT NULL DEFAULT session_user,
    forgotten_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, article_id)
);

-- Articles of a page's window that the source no longer had when a run was last published.
CREATE TABLE rerank.deleted (
    pipeline   text NOT NULL,
    article_id text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, article_id)
);

-- Every article that must not be shown, and why; one that is hidden for several reasons has a row for each.
CREATE VIEW rerank.hidden AS
SELECT pipeline, article_id, 'deleted'::text AS why FROM rerank.deleted
UNION ALL
SELECT pipeline, article_id, 'blocked' FROM rerank.block
UNION ALL
SELECT pipeline, article_id, 'forgotten' FROM rerank.tombstone;

ALTER TABLE rerank.run
    ADD COLUMN forgotten bigint,   -- source rows whose article is forgotten; null: claimed before there were any
    ADD COLUMN opened_by text;
ALTER TABLE rerank.run ALTER COLUMN opened_by SET DEFAULT session_user;

ALTER TABLE rerank.publication
    ADD COLUMN trimmed boolean NOT NULL DEFAULT false,   -- an earlier one again, without the articles that were forgotten since
    ADD COLUMN withdrawn_at timestamptz;                 -- its file holds an article that was forgotten, and is due for deletion

-- What a publication left out of its window, and why.
CREATE TABLE rerank.publication_hidden (
    publication_id bigint NOT NULL REFERENCES rerank.publication ON DELETE CASCADE,
    article_id     text NOT NULL,
    why            text NOT NULL CHECK (why IN ('deleted', 'blocked', 'forgotten')),
    PRIMARY KEY (publication_id, article_id)
);

-- Files of the store that have to go at a time.
CREATE TABLE rerank.store_removal (
    path         text PRIMARY KEY,   -- relative to the store
    due_at       timestamptz NOT NULL,
    reason       text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now()
);

CREATE OR REPLACE VIEW rerank.current_ranking AS
SELECT p.pipeline, r.slug AS topic, r.rank, r.article_id, r.title, r.url, r.source, r.lang,
       r.published_at, r.first_ingested_at, r.ranked_by, r.logit,
       CASE WHEN r.logit IS NOT NULL   -- least and greatest pass over a null
            THEN 1 / (1 + exp(-greatest(-700, least(700, r.logit::double precision)))) END AS probability,
       r.rank_score, r.light_score,
       r.truncated, r.is_new, r.copies,
       p.as_of, p.run_id, p.version, p.publication_id, r.topic_version_id, r.revision_id, r.document_id,
       r.scorer_id, p.fence AS attempt
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.ranking r USING (publication_id)
WHERE NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.article_id)
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.article_id);
