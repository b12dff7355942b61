-- Whether one of these pairs has a score; of this run alone, where one is given.
SELECT EXISTS (
    SELECT
    FROM unnest(CAST(:query_ids AS bigint[]), CAST(:document_ids AS bigint[]), CAST(:months AS date[])) AS p (query_id, document_id, month)
    JOIN rerank.pair_score s
      ON s.scorer_id = :scorer_id AND s.query_id = p.query_id AND s.document_id = p.document_id AND s.month = p.month
    WHERE CAST(:only_run_id AS bigint) IS NULL OR s.run_id = :only_run_id
) AS found
