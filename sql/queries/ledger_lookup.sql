-- What the ledger holds of these queries, for documents of these months.
SELECT document_id, query_id, logit, truncated, run_id
FROM rerank.pair_score
WHERE scorer_id = :scorer_id
  AND query_id = ANY(CAST(:query_ids AS bigint[]))
  AND month = ANY(CAST(:months AS date[]))
