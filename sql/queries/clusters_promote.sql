-- Of clusters whose leader is about to be deleted, because no revision is of it any more, the text that joined first
-- takes the lead. Nobody has scored it: the next run looks at it as if it had claimed it.
WITH gone AS (
    SELECT d.document_id
    FROM rerank.document d
    WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM rerank.revision r WHERE r.document_id = d.document_id)
), next AS (
    SELECT DISTINCT ON (n.pipeline, n.leader_document_id)
           n.pipeline, n.leader_document_id AS before, n.document_id, l.first_ingested_at, l.began_at
    FROM rerank.near_copy n
    JOIN rerank.near_copy l ON l.pipeline = n.pipeline AND l.document_id = n.leader_document_id
    WHERE n.leader_document_id IN (SELECT document_id FROM gone) AND n.document_id NOT IN (SELECT document_id FROM gone)
    ORDER BY n.pipeline, n.leader_document_id, n.first_ingested_at, n.article_id
)
UPDATE rerank.near_copy n
SET leader_document_id = next.document_id,
    similarity = CASE WHEN n.document_id = next.document_id THEN 1 ELSE n.similarity END,
    first_ingested_at = CASE WHEN n.document_id = next.document_id THEN next.first_ingested_at ELSE n.first_ingested_at END,
    began_at = CASE WHEN n.document_id = next.document_id THEN next.began_at ELSE n.began_at END,
    promoted_at = CASE WHEN n.document_id = next.document_id THEN now() ELSE n.promoted_at END
FROM next
WHERE n.pipeline = next.pipeline AND n.leader_document_id = next.before
  AND n.document_id NOT IN (SELECT document_id FROM gone)
