-- What is shown of an article, and its ties to documents; returns these documents.
WITH before AS (
    SELECT revision_id, document_id
    FROM rerank.revision
    WHERE pipeline = ANY(CAST(:pipelines AS text[])) AND article_id = :article_id
), quarantined AS (
    INSERT INTO rerank.quarantine (revision_id, stage, reason)
    SELECT revision_id, 'prepare', 'forgotten' FROM before ORDER BY revision_id
    ON CONFLICT DO NOTHING
), cut AS (
    UPDATE rerank.revision r SET title = NULL, url = NULL, document_id = NULL
    FROM before WHERE r.revision_id = before.revision_id
)
SELECT revision_id, document_id FROM before ORDER BY revision_id
