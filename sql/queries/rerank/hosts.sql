-- name: record
-- What a host found when it looked at itself; a fault keeps the time at which it began.
INSERT INTO rerank.scoring_host AS h (host, pipeline, stage, fault, faulty_since)
VALUES (:host, :pipeline, :stage, :fault, CASE WHEN CAST(:fault AS text) IS NOT NULL THEN now() END)
ON CONFLICT (host, pipeline, stage) DO UPDATE
SET fault = EXCLUDED.fault, seen_at = now(),
    faulty_since = CASE WHEN EXCLUDED.fault IS NOT NULL THEN COALESCE(h.faulty_since, now()) END

-- name: away
-- The host's engine did not start: until a while from now, another host that can score comes first.
UPDATE rerank.scoring_host
SET fault = :fault, faulty_since = COALESCE(faulty_since, now()), away_until = now() + make_interval(secs => :seconds)
WHERE host = :host AND pipeline = :pipeline AND stage = 'rerank'

-- name: is_away
-- Why this host is to be kept away although it has looked at itself; no row if it is not, or no other host can do the stage.
SELECT h.fault
FROM rerank.scoring_host h
WHERE h.host = :host AND h.pipeline = :pipeline AND h.away_until > now()
  AND EXISTS (SELECT FROM rerank.scoring_host o
              WHERE o.pipeline = h.pipeline AND o.stage = :stage AND o.host <> h.host AND o.fault IS NULL AND o.seen_at > now() - interval '1 day')

-- name: forget
-- Hosts that were not seen for a week: pods have a new name each time.
DELETE FROM rerank.scoring_host WHERE seen_at < now() - interval '7 days'
