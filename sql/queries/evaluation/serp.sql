-- name: known
-- Scores that a scorer gave to these pairs of texts before: for a search engine's page, or in a run.
WITH wanted AS (
    SELECT place, query_digest, document_digest
    FROM unnest(CAST(:places AS integer[]), CAST(:query_digests AS bytea[]), CAST(:document_digests AS bytea[]))
         AS w (place, query_digest, document_digest)
)
SELECT w.place, t.logit, t.truncated
FROM wanted w
JOIN rerank.text_score t ON t.scorer_id = :scorer_id AND t.query_digest = w.query_digest AND t.document_digest = w.document_digest
UNION ALL
SELECT w.place, s.logit, s.truncated
FROM wanted w
JOIN rerank.query q ON q.digest = w.query_digest
JOIN rerank.document d ON d.digest = w.document_digest
JOIN rerank.pair_score s ON s.scorer_id = :scorer_id AND s.query_id = q.query_id AND s.document_id = d.document_id AND s.month = d.month
WHERE NOT EXISTS (SELECT FROM rerank.text_score t
                  WHERE t.scorer_id = :scorer_id AND t.query_digest = w.query_digest AND t.document_digest = w.document_digest)
ORDER BY place

-- name: add
-- A pair of texts that has a score keeps it.
INSERT INTO rerank.text_score (scorer_id, query_digest, document_digest, logit, truncated)
SELECT :scorer_id, query_digest, document_digest, logit, truncated
FROM unnest(CAST(:query_digests AS bytea[]), CAST(:document_digests AS bytea[]), CAST(:logits AS real[]), CAST(:truncated AS boolean[]))
     AS n (query_digest, document_digest, logit, truncated)
ORDER BY query_digest, document_digest
ON CONFLICT (scorer_id, query_digest, document_digest) DO NOTHING
