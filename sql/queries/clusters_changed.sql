-- Whether the clusters are still those that new texts were compared with: as many leaders in the span of time, the ones
-- that were joined among them, and none of the new texts placed or gone.
SELECT (SELECT count(*) FROM rerank.near_copy
        WHERE pipeline = :pipeline AND document_id = leader_document_id
          AND first_ingested_at BETWEEN :since AND :until) <> :leaders
    OR (SELECT count(*) FROM rerank.near_copy
        WHERE pipeline = :pipeline AND document_id = leader_document_id
          AND document_id = ANY(CAST(:joined_ids AS bigint[]))) <> cardinality(CAST(:joined_ids AS bigint[]))
    OR (SELECT count(*) FROM rerank.document d
        WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
          AND NOT EXISTS (SELECT FROM rerank.near_copy n WHERE n.pipeline = :pipeline AND n.document_id = d.document_id)
       ) <> cardinality(CAST(:document_ids AS bigint[])) AS changed
