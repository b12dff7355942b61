-- Other articles with this very text, first ingested within three days of it.
SELECT DISTINCT ON (article_id) article_id, title, source, url, first_ingested_at
FROM rerank.revision
WHERE pipeline = :pipeline AND document_id = :document_id AND article_id <> :article_id
  AND first_ingested_at BETWEEN CAST(:first_ingested_at AS timestamptz) - interval '3 days'
                            AND CAST(:first_ingested_at AS timestamptz) + interval '3 days'
ORDER BY article_id, number DESC
LIMIT 50
