-- The pipeline's own threshold as the run has frozen it: for topics that have none.
ALTER TABLE rerank.run_topic ADD COLUMN min_score double precision;
