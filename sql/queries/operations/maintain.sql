-- name: lock
-- Two clean-ups take turns, a transaction at a time.
SELECT rerank.take_turn('maintain')
