-- The publication that frontends saw at a time.
SELECT to_publication_id AS publication_id
FROM rerank.pointer_move
WHERE pipeline = :pipeline AND moved_at <= :at
ORDER BY moved_at DESC, pointer_move_id DESC
LIMIT 1
