-- What readers did with a ranking: logging only, so that learning from it can follow. No text, and nothing about the reader.

CREATE TABLE rerank.feedback (
    event_id    text PRIMARY KEY CHECK (event_id <> ''),   -- the sender's own, or a digest of the columns below
    pipeline    text NOT NULL,
    run_id      bigint NOT NULL,         -- no foreign key: events may outlive the run's rows
    slug        text NOT NULL,
    rank        integer NOT NULL CHECK (rank > 0),
    revision_id bigint NOT NULL,
    event       text NOT NULL CHECK (event ~ '^[a-z][a-z0-9_-]{0,62}$'),
    happened_at timestamptz NOT NULL,
    loaded_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX feedback_page ON rerank.feedback (pipeline, run_id, slug, rank);
COMMENT ON TABLE rerank.feedback IS 'One row an event: a reader saw, opened or hid one row of one ranking.';

-- One row for each ranked row and kind of event, with what the row was ranked by: what a learner needs beside the text.
CREATE VIEW rerank.ranking_feedback AS
WITH counted AS (
    SELECT pipeline, run_id, slug, rank, revision_id, event,
           count(*) AS events, min(happened_at) AS first_at, max(happened_at) AS last_at
    FROM rerank.feedback
    GROUP BY pipeline, run_id, slug, rank, revision_id, event
)
SELECT c.pipeline, c.slug AS topic, c.run_id, c.rank, c.revision_id, c.event, c.events, c.first_at, c.last_at,
       shown.publication_id, shown.as_of, shown.article_id, shown.document_id, shown.topic_version_id, shown.scorer_id,
       shown.ranked_by, shown.logit, shown.rank_score, shown.light_score
FROM counted c
LEFT JOIN LATERAL (   -- null where the publication is past its retention
    SELECT p.publication_id, p.as_of, r.article_id, r.document_id, r.topic_version_id, r.scorer_id,
           r.ranked_by, r.logit, r.rank_score, r.light_score
    FROM rerank.publication p
    JOIN rerank.ranking r USING (publication_id)
    WHERE p.run_id = c.run_id AND r.slug = c.slug AND r.rank = c.rank AND r.revision_id = c.revision_id
    ORDER BY p.version DESC
    LIMIT 1
) shown ON true;
