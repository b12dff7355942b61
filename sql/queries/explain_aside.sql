-- A score of a pair that counts for nothing, because the gate blocks the run that made it.
SELECT a.logit, a.run_id, g.sentence
FROM rerank.score_aside a
CROSS JOIN LATERAL (SELECT * FROM rerank.gate WHERE run_id = a.aside_for ORDER BY gate_id DESC LIMIT 1) g
WHERE a.scorer_id = :scorer_id AND a.query_id = :query_id AND a.document_id = :document_id
  AND a.run_id = a.aside_for AND g.verdict = 'blocked'
ORDER BY a.run_id DESC
LIMIT 1
