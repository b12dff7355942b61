-- The pipelines that have a topic or a run, by name.
SELECT pipeline FROM rerank.topic
UNION
SELECT pipeline FROM rerank.run
ORDER BY pipeline
