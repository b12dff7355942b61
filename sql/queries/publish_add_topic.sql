-- How a topic stands in a publication.
INSERT INTO rerank.ranking_topic (publication_id, slug, topic_version_id, scorer_id, state, candidates, from_ledger, scored, refused, missing, left_out, ranked)
VALUES (:publication_id, :slug, :topic_version_id, :scorer_id, :state, :candidates, :from_ledger, :scored, :refused, :missing, :left_out, :ranked)
