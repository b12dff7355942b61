-- Whether no run of the pipeline with a later as-of time has been published.
SELECT NOT EXISTS (
    SELECT FROM rerank.run
    WHERE pipeline = :pipeline AND published_at IS NOT NULL AND until > :until
) AS is_newest
