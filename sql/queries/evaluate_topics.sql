-- The topics that a run has frozen.
SELECT slug FROM rerank.run_topic WHERE run_id = :run_id ORDER BY slug
