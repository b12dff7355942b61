-- A cluster whose texts come again long after its leader begins anew: it is not as old as what was said then.
UPDATE rerank.near_copy l
SET article_id = again.article_id, first_ingested_at = again.first_ingested_at, began_at = again.began_at
FROM (
    SELECT DISTINCT ON (n.leader_document_id)
           n.leader_document_id, r.article_id, r.first_ingested_at, least(r.published_at, r.first_ingested_at) AS began_at
    FROM rerank.revision r
    JOIN rerank.near_copy n ON n.pipeline = r.pipeline AND n.document_id = r.document_id
    JOIN rerank.near_copy l ON l.pipeline = r.pipeline AND l.document_id = n.leader_document_id
    WHERE r.run_id = :run_id AND r.first_ingested_at > l.first_ingested_at + make_interval(secs => :seconds)
    ORDER BY n.leader_document_id, r.first_ingested_at, r.article_id
) again
WHERE l.pipeline = :pipeline AND l.document_id = again.leader_document_id
