-- What the steps did to a batch, added to what they did to the run's batches before.
INSERT INTO rerank.run_metric AS m (run_id, stage, name, value)
SELECT :run_id, 'prepare', name, value
FROM unnest(CAST(:names AS text[]), CAST(:values AS double precision[])) AS t (name, value)
ON CONFLICT (run_id, stage, name) DO UPDATE SET value = m.value + EXCLUDED.value, recorded_at = now()
