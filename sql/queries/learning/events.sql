-- name: stage
-- Holds new events until they are merged.
CREATE TEMP TABLE IF NOT EXISTS feedback_batch (
    place integer, event_id text, run_id bigint, slug text, rank integer, revision_id bigint, event text, happened_at timestamptz
) ON COMMIT DROP

-- name: merge
-- Keeps the events that name a published row of this pipeline; a known event stays as it is.
-- Every event of the batch is in one bucket: added, repeated or unknown.
WITH shown AS MATERIALIZED (
    SELECT b.run_id, b.slug, b.rank, b.revision_id
    FROM (SELECT DISTINCT run_id, slug, rank, revision_id FROM pg_temp.feedback_batch) b
    WHERE EXISTS (
        SELECT FROM rerank.publication p
        JOIN rerank.ranking r USING (publication_id)
        WHERE p.pipeline = :pipeline AND p.run_id = b.run_id
          AND r.slug = b.slug AND r.rank = b.rank AND r.revision_id = b.revision_id)
), named AS (
    SELECT b.place, b.event_id, b.run_id, b.slug, b.rank, b.revision_id, b.event, b.happened_at
    FROM pg_temp.feedback_batch b JOIN shown USING (run_id, slug, rank, revision_id)
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

-- name: span
-- The span of time whose events a claim takes, and the span before it, in which it counts those that are too late.
SELECT now() AS until, COALESCE(CAST(:since AS timestamptz), now() - make_interval(secs => :lookback_seconds)) AS since,
       COALESCE(CAST(:since AS timestamptz), now() - make_interval(secs => 2 * :lookback_seconds)) AS looks_since

-- name: make_seen
-- Holds events of another database until the transaction ends.
CREATE TEMP TABLE IF NOT EXISTS feedback_seen (
    event_id text, run_id bigint, topic text, rank bigint, revision_id bigint, event text, "time" timestamptz
) ON COMMIT DROP

-- name: seen
-- Events of a span of time, in another database.
SELECT event_id, run_id, topic, rank, revision_id, event, "time"
FROM {events}
WHERE "time" >= :since AND "time" < :until

-- name: take
-- Stages what is new among the events of a span of time, and counts what is not. Every event is in one bucket.
WITH looked AS (
    SELECT e.*, CASE
        WHEN e.event_id IS NULL OR e.event_id = '' OR length(e.event_id) > :longest_id OR e.run_id IS NULL OR e.run_id < 1
             OR e.topic IS NULL OR e.rank IS NULL OR e.rank NOT BETWEEN 1 AND 2147483647
             OR e.revision_id IS NULL OR e.revision_id < 1 OR e.event IS NULL OR e.event !~ '^[a-z][a-z0-9_-]{0,62}$' THEN 'bad'
        WHEN EXISTS (SELECT FROM rerank.feedback f WHERE f.event_id = e.event_id) THEN 'repeated'
        WHEN e."time" < :too_late_before THEN 'too_late'
        ELSE 'new' END AS bucket
    FROM {events} e
    WHERE e."time" >= :since AND e."time" < :until
), staged AS (
    INSERT INTO pg_temp.feedback_batch (place, event_id, run_id, slug, rank, revision_id, event, happened_at)
    SELECT CAST(row_number() OVER (ORDER BY "time", event_id) AS integer), event_id, run_id, topic, rank, revision_id, event, "time"
    FROM looked
    WHERE bucket = 'new'
    RETURNING place
)
SELECT (SELECT count(*) FROM looked) AS looked, count(*) FILTER (WHERE bucket = 'bad') AS bad,
       count(*) FILTER (WHERE bucket = 'repeated') AS repeated, count(*) FILTER (WHERE bucket = 'too_late') AS too_late
FROM looked

-- name: out_of_time
-- Events that no span of time has: those of the future, and those without a time.
SELECT count(*) FILTER (WHERE "time" >= :until) AS later, count(*) FILTER (WHERE "time" IS NULL) AS timeless
FROM {events}
WHERE "time" >= :until OR "time" IS NULL
