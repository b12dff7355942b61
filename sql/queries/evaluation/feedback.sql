-- name: stage
-- The events of one batch, in the order of the file.
CREATE TEMP TABLE IF NOT EXISTS feedback_batch (
    place integer, event_id text, run_id bigint, slug text, rank integer, revision_id bigint, event text, happened_at timestamptz
) ON COMMIT DROP

-- name: merge
-- Keeps the events that name a published row of this pipeline; a known event stays as it is.
-- Every event of the batch is in one bucket: added, repeated or unknown.
WITH named AS (
    SELECT b.place, b.event_id, b.run_id, b.slug, b.rank, b.revision_id, b.event, b.happened_at
    FROM pg_temp.feedback_batch b
    WHERE EXISTS (
        SELECT FROM rerank.publication p
        JOIN rerank.ranking r USING (publication_id)
        WHERE p.pipeline = :pipeline AND p.run_id = b.run_id
          AND r.slug = b.slug AND r.rank = b.rank AND r.revision_id = b.revision_id)
), added AS (
    INSERT INTO rerank.feedback (event_id, pipeline, run_id, slug, rank, revision_id, event, happened_at)
    SELECT DISTINCT ON (event_id) event_id, :pipeline, run_id, slug, rank, revision_id, event, happened_at
    FROM named
    ORDER BY event_id, place
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id
)
SELECT (SELECT count(*) FROM added) AS added,
       (SELECT count(*) FROM named) - (SELECT count(*) FROM added) AS repeated,
       (SELECT count(*) FROM pg_temp.feedback_batch) - (SELECT count(*) FROM named) AS unknown
