-- What was set aside for a run is needed no more: it passed.
DELETE FROM rerank.score_aside WHERE aside_for = :run_id
