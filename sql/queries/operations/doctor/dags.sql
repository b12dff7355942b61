-- name: known
-- The DAGs that Airflow has, in Airflow's own database.
SELECT dag_id, is_paused FROM dag WHERE NOT is_stale
