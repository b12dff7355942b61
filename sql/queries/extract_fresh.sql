-- How many of a run's revisions are young enough to be ranked now.
SELECT count(*) FILTER (WHERE first_ingested_at >= now() - make_interval(secs => :fresh_seconds)) AS fresh
FROM rerank.revision WHERE run_id = :run_id
