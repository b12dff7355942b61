-- Where each source row went when the run claimed.
SELECT sighted, claimed, unchanged, too_late, later, COALESCE(forgotten, 0) AS forgotten, invalid
FROM rerank.run WHERE run_id = :run_id
