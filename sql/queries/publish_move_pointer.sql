-- Frontends see this publication from the commit on; unless theirs is of a later time, or held by a rollback.
WITH standing AS (
    SELECT p.publication_id, p.as_of, c.held
    FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
    WHERE c.pipeline = :pipeline
), moved AS (
    INSERT INTO rerank.pointer AS c (pipeline, publication_id)
    SELECT :pipeline, p.publication_id
    FROM rerank.publication p
    WHERE p.publication_id = :publication_id
      AND NOT EXISTS (SELECT FROM standing s WHERE s.held OR s.as_of > p.as_of)
    ON CONFLICT (pipeline) DO UPDATE SET publication_id = EXCLUDED.publication_id, moved_at = now()
    RETURNING publication_id
)
INSERT INTO rerank.pointer_move (pipeline, from_publication_id, to_publication_id, reason)
SELECT :pipeline, (SELECT publication_id FROM standing), publication_id, 'published'
FROM moved
RETURNING to_publication_id
