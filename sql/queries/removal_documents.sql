-- Deletes those of these documents that no revision is of, with all that was found out about them.
WITH alone AS (
    SELECT d.document_id, d.month
    FROM rerank.document d
    WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM rerank.revision r WHERE r.document_id = d.document_id)
), scores AS (
    DELETE FROM rerank.pair_score s USING alone
    WHERE s.document_id = alone.document_id AND s.month = alone.month
    RETURNING s.document_id
), aside AS (
    DELETE FROM rerank.score_aside s USING alone WHERE s.document_id = alone.document_id RETURNING s.document_id
), refused AS (
    DELETE FROM rerank.refused_pair f USING alone WHERE f.document_id = alone.document_id RETURNING f.document_id
), documents AS (
    DELETE FROM rerank.document d USING alone WHERE d.document_id = alone.document_id RETURNING d.document_id
)
SELECT (SELECT count(*) FROM documents) AS documents,
       (SELECT count(*) FROM scores) + (SELECT count(*) FROM aside) + (SELECT count(*) FROM refused) AS scores
