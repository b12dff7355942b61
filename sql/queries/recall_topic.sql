-- A topic as the run has frozen it.
INSERT INTO rerank.run_topic (run_id, slug, topic_version_id, selected, filling, previous_scorer_id, left_out, min_score,
                              wanted, carried, ineligible, not_searched, not_recalled, not_recalled_language)
VALUES (:run_id, :slug, :topic_version_id, :selected, :filling, :previous_scorer_id, :left_out, :min_score,
        :wanted, :carried, :ineligible, :not_searched, :not_recalled, :not_recalled_language)
