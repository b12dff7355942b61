-- Whether no later run of the pipeline has been published: later by its as-of time, then by its claim.
SELECT NOT EXISTS (
    SELECT FROM rerank.run other
    WHERE other.pipeline = run.pipeline AND other.published_at IS NOT NULL
      AND (other.until, other.claimed_at) > (run.until, run.claimed_at)
) AS is_newest
FROM rerank.run run
WHERE run.run_id = :run_id
