-- The gate waits until no try has a chunk of scores half in the ledger; later ones wait for the gate.
SELECT run_id FROM rerank.run WHERE run_id = :run_id FOR UPDATE
