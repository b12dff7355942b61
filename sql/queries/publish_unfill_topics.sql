-- Pairs of these topics stayed unscored: the next run fills them again. The newest run takes back only its own word; a
-- fill that an earlier one gave is out of date by itself, and still tells which scorer ranks the topic.
DELETE FROM rerank.fill f
USING unnest(CAST(:slugs AS text[]), CAST(:recall_digests AS bytea[])) AS u (slug, recall_digest)
WHERE f.pipeline = :pipeline AND f.slug = u.slug AND f.recall_digest = u.recall_digest AND f.scorer_id = :scorer_id
  AND (f.run_id = :run_id OR NOT :is_newest)
