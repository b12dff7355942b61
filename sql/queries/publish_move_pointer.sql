-- Frontends see this publication from the commit on; unless theirs is of a later time
-- (of two runs with one as-of time, the one that claimed later), or held by a rollback.
WITH standing AS (
    SELECT p.publication_id, p.as_of, r.claimed_at, c.held
    FROM rerank.pointer c JOIN rerank.publication p USING (publication_id) JOIN rerank.run r USING (run_id)
    WHERE c.pipeline = :pipeline
), moved AS (
    INSERT INTO rerank.pointer AS c (pipeline, publication_id)
    SELECT :pipeline, p.publication_id
    FROM rerank.publication p JOIN rerank.run r USING (run_id)
    WHERE p.publication_id = :publication_id
      AND NOT EXISTS (SELECT FROM standing s WHERE s.held OR (s.as_of, s.claimed_at) > (p.as_of, r.claimed_at))
    ON CONFLICT (pipeline) DO UPDATE SET publication_id = EXCLUDED.publication_id, moved_at = now()
    RETURNING publication_id
)
INSERT INTO rerank.pointer_move (pipeline, from_publication_id, to_publication_id, reason)
SELECT :pipeline, (SELECT publication_id FROM standing), publication_id, 'published'
FROM moved
RETURNING to_publication_id
