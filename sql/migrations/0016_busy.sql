-- When the try began that holds the run's fence; null: it has ended. A page deadline leaves a run alone that is busy.
ALTER TABLE rerank.run ADD COLUMN busy_since timestamptz;
