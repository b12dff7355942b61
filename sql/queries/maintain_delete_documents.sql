-- Deletes those of these texts that still no revision is of; their scores go with their month.
WITH alone AS (
    SELECT d.document_id
    FROM rerank.document d
    WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM rerank.revision r WHERE r.document_id = d.document_id)
), aside AS (
    DELETE FROM rerank.score_aside s USING alone WHERE s.document_id = alone.document_id
), refused AS (
    DELETE FROM rerank.refused_pair f USING alone WHERE f.document_id = alone.document_id
)
DELETE FROM rerank.document d USING alone WHERE d.document_id = alone.document_id
