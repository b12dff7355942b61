-- The events of one batch, in the order of the file.
CREATE TEMP TABLE IF NOT EXISTS feedback_batch (
    place integer, event_id text, run_id bigint, slug text, rank integer, revision_id bigint, event text, happened_at timestamptz
) ON COMMIT DROP
