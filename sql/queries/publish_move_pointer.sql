-- Frontends see this publication from the commit on; a row says that the pointer moved, by the rules of the function.
SELECT :publication_id AS to_publication_id WHERE rerank.move_pointer(:pipeline, :publication_id)
