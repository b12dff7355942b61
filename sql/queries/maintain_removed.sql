-- These are gone.
DELETE FROM rerank.store_removal WHERE path = ANY(CAST(:paths AS text[]))
