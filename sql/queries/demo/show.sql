-- name: scored
-- How many pairs the newest run has scored so far, to show its progress.
SELECT count(*) AS pairs FROM rerank.pair_score WHERE run_id = (SELECT max(run_id) FROM rerank.run)

-- name: topics
-- The state of each topic of the page, as frontends read it.
SELECT topic, query, state, ranked, as_of
FROM rerank.current_topic
WHERE pipeline = :pipeline
ORDER BY topic

-- name: ranking
-- The first rows of each topic of the page, as frontends read them.
SELECT topic, rank, title, source, copies, began_at, ranked_by, logit, is_new, as_of
FROM rerank.current_ranking
WHERE pipeline = :pipeline AND rank <= :rows
ORDER BY topic, rank

-- name: counts
-- What a run claimed and scored, and what its latest publication shows.
SELECT (SELECT count(*) FROM rerank.revision WHERE run_id = :run_id) AS claimed,
       (SELECT count(*) FROM rerank.pair_score WHERE run_id = :run_id) AS scored,
       sum(t.candidates) AS candidates, sum(t.from_ledger) AS from_ledger, sum(t.missing) AS missing,
       sum(t.ranked) AS ranked
FROM rerank.ranking_topic t
JOIN rerank.publication p USING (publication_id)
WHERE p.run_id = :run_id AND p.version = (SELECT max(version) FROM rerank.publication WHERE run_id = :run_id)

-- name: has_page
-- Whether the schema is there: `make ui` asks before the first upgrade.
SELECT to_regclass('rerank.current_topic') IS NOT NULL AS found

-- name: last_run
-- The run whose page is current.
SELECT run_id FROM rerank.current_topic WHERE pipeline = :pipeline LIMIT 1

-- name: files
-- The Parquet files of all publications, oldest first.
SELECT parquet_path FROM rerank.publication WHERE pipeline = :pipeline ORDER BY publication_id

-- name: pictures
-- The first picture of each article of the page, with its caption.
SELECT DISTINCT article_id, pictures[1] AS path, captions[1] AS caption
FROM rerank.current_ranking
WHERE pipeline = :pipeline AND cardinality(pictures) > 0
ORDER BY article_id
