-- Other articles with this very text or a near-copy of it, first ingested within three days of it.
SELECT DISTINCT ON (article_id) article_id, document_id = :document_id AS is_same_text, title, source, url, first_ingested_at
FROM rerank.revision
WHERE pipeline = :pipeline AND article_id <> :article_id
  AND (document_id = :document_id
       OR document_id IN (SELECT n.document_id FROM rerank.near_copy n
                          WHERE n.pipeline = :pipeline AND n.leader_document_id = :scored_document_id))
  AND first_ingested_at BETWEEN CAST(:first_ingested_at AS timestamptz) - interval '3 days'
                            AND CAST(:first_ingested_at AS timestamptz) + interval '3 days'
ORDER BY article_id, number DESC
LIMIT 50
