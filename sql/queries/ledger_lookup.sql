-- What the ledger holds of these queries, for documents of a month that came one after the other.
SELECT document_id, query_id, logit, truncated, run_id
FROM rerank.pair_score
WHERE scorer_id = :scorer_id
  AND query_id = ANY(CAST(:query_ids AS bigint[]))
  AND month = CAST(:month AS date)
  AND document_id BETWEEN :first AND :last
