-- How each topic of the current page stands, or the one that is asked for.
SELECT topic, query, as_of, state, ranked, missing, left_out, run_id, version, publication_id, parquet_path
FROM rerank.current_topic
WHERE pipeline = :pipeline AND (CAST(:topic AS text) IS NULL OR topic = :topic)
ORDER BY topic
