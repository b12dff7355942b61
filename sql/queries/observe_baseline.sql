-- Earlier runs whose scores a run is compared with: the latest ones of its pipeline under its scorer, until they have
-- scored enough between them; a blocked run's scores are none to compare with.
SELECT run_id
FROM (
    SELECT r.run_id, sum(scored.value) OVER (ORDER BY r.until DESC, r.run_id DESC) - scored.value AS before
    FROM rerank.run r
    JOIN rerank.run mine ON mine.run_id = :run_id
    JOIN rerank.run_metric scored ON scored.run_id = r.run_id AND scored.stage = 'observe' AND scored.name = 'scored'
    WHERE r.pipeline = mine.pipeline AND r.scorer_id = mine.scorer_id AND (r.until, r.run_id) < (mine.until, mine.run_id)
      AND scored.value > 0
      AND COALESCE((SELECT g.verdict FROM rerank.gate g WHERE g.run_id = r.run_id ORDER BY g.gate_id DESC LIMIT 1), 'passed')
          <> 'blocked'
) earlier
WHERE before < :enough
ORDER BY run_id
