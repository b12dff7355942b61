-- From here on every try of the run ranks these members and pairs with this scorer.
UPDATE rerank.run
SET scorer_id = :scorer_id, members_path = :members_path, members_sha256 = :members_sha256,
    pairs_path = :pairs_path, pairs_sha256 = :pairs_sha256, recall = :recall, frozen_at = now()
WHERE run_id = :run_id AND frozen_at IS NULL
