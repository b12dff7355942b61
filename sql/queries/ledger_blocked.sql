-- Whether the gate has blocked the run since a try began.
SELECT EXISTS (SELECT FROM rerank.gate WHERE run_id = :run_id AND verdict = 'blocked' AND fence > :fence) AS blocked
