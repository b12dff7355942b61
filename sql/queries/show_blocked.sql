-- Why the gate blocks the run of the current page; nothing where it does not, or no more.
SELECT p.blocked
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline AND p.blocked IS NOT NULL
  AND (SELECT g.verdict FROM rerank.gate g WHERE g.run_id = p.run_id ORDER BY g.gate_id DESC LIMIT 1) = 'blocked'
