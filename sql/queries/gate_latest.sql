-- What the gate decided last about a run.
SELECT g.verdict, g.sentence, g.fence, g.actor, g.decided_at
FROM rerank.gate g
WHERE g.run_id = :run_id
ORDER BY g.gate_id DESC
LIMIT 1
