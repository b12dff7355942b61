-- Pairs of this topic stayed unscored: the next run fills it again. The newest run takes back only its own word; a
-- fill that an earlier one gave is out of date by itself, and still tells which scorer ranks the topic.
DELETE FROM rerank.fill
WHERE pipeline = :pipeline AND slug = :slug AND recall_digest = :recall_digest AND scorer_id = :scorer_id
  AND (run_id = :run_id OR NOT :is_newest)
