-- name: now
-- The database's clock is the one that windows are cut by.
SELECT now() AS now

-- name: open
-- A run is made once for its key; its window is stored with it.
INSERT INTO rerank.run (pipeline, key, since, fresh_since, until, topics, rescore, as_claimed_now)
VALUES (:pipeline, :key, :since, :fresh_since, :until, CAST(:topics AS text[]), :rescore, :as_claimed_now)
ON CONFLICT (pipeline, key) DO NOTHING

-- name: by_key
-- A run by its identity.
SELECT run_id, pipeline, key, since, fresh_since, until, topics, rescore, as_claimed_now, fence, scorer_id,
       members_path, members_sha256, pairs_path, pairs_sha256, light_path, light_sha256,
       claimed_at, prepared_at, frozen_at, early
FROM rerank.run
WHERE pipeline = :pipeline AND key = :key

-- name: by_id
-- A run by its number.
SELECT run_id, pipeline, key, since, fresh_since, until, topics, rescore, as_claimed_now, fence, scorer_id,
       members_path, members_sha256, pairs_path, pairs_sha256, light_path, light_sha256,
       claimed_at, prepared_at, frozen_at, early
FROM rerank.run
WHERE run_id = :run_id

-- name: current
-- The run behind the current page of a pipeline.
SELECT p.run_id
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline

-- name: take_fence
-- A new try of a stage overtakes every older one.
UPDATE rerank.run SET fence = fence + 1, busy_since = clock_timestamp() WHERE run_id = :run_id RETURNING fence

-- name: release_fence
-- A try has ended; a newer one may still be at work.
UPDATE rerank.run SET busy_since = NULL WHERE run_id = :run_id AND fence = :fence

-- name: hold_fence
-- Locks the run's row, so that no newer try begins before this one has committed. A chunk of scores that is being kept holds
-- the run by its key alone: neither waits for the other.
SELECT fence FROM rerank.run WHERE run_id = :run_id FOR NO KEY UPDATE

-- name: lock_claims
-- Claims of one pipeline go one at a time: concurrent anti-joins would claim the same rows.
SELECT rerank.take_turn('claim ' || :pipeline)
