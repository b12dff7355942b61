-- Where each row of the source went when a run claimed.
SELECT sighted, claimed, unchanged, too_late, later, invalid, forgotten FROM rerank.run WHERE run_id = :run_id
