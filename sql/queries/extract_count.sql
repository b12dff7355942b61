-- How many revisions a run owns.
SELECT count(*) AS claimed FROM rerank.revision WHERE run_id = :run_id
