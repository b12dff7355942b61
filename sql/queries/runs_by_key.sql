-- A run by its identity.
SELECT run_id, pipeline, key, since, fresh_since, until, topics, rescore, fence, scorer_id,
       members_path, members_sha256, pairs_path, pairs_sha256, light_path, light_sha256,
       claimed_at, prepared_at, frozen_at
FROM rerank.run
WHERE pipeline = :pipeline AND key = :key
