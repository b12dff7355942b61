-- What a scorer reads of a long document is part of its identity; those known so far read the lead.
ALTER TABLE rerank.scorer ADD COLUMN passages text NOT NULL DEFAULT 'lead';
ALTER TABLE rerank.scorer ALTER COLUMN passages DROP DEFAULT;
