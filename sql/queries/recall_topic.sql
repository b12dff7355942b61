-- A topic as the run has frozen it.
INSERT INTO rerank.run_topic (run_id, slug, topic_version_id, selected, filling, previous_scorer_id, left_out)
VALUES (:run_id, :slug, :topic_version_id, :selected, :filling, :previous_scorer_id, :left_out)
