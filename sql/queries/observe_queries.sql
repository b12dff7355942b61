-- The queries of each topic as a run has frozen it.
SELECT t.slug, q.query_id
FROM rerank.run_topic t
JOIN rerank.topic_version v USING (topic_version_id)
CROSS JOIN LATERAL (SELECT v.query AS query UNION SELECT value FROM jsonb_each_text(v.queries)) asked
JOIN rerank.query q ON q.instruction = v.instruction AND q.query = asked.query
WHERE t.run_id = :run_id
ORDER BY t.slug, q.query_id
