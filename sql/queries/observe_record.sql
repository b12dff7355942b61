-- Metrics of a stage; a later try replaces them.
INSERT INTO rerank.run_metric (run_id, stage, name, value)
SELECT :run_id, :stage, name, value
FROM unnest(CAST(:names AS text[]), CAST(:values AS double precision[])) AS m (name, value)
ON CONFLICT (run_id, stage, name) DO UPDATE SET value = EXCLUDED.value, recorded_at = now()
