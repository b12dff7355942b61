-- name: services
-- When Airflow's services were heard of last, in Airflow's own database.
SELECT job_type, hostname, max(latest_heartbeat) AS heard
FROM job
WHERE state = 'running' AND latest_heartbeat IS NOT NULL
GROUP BY job_type, hostname
ORDER BY job_type DESC, hostname

-- name: hosts
-- The hosts on which tasks of a DAG ran, by queue, with the time at which each was heard of last.
SELECT hostname, queue, max(COALESCE(end_date, last_heartbeat_at, start_date)) AS heard
FROM task_instance
WHERE dag_id = :dag_id AND hostname <> '' AND start_date IS NOT NULL
GROUP BY hostname, queue
ORDER BY hostname, queue

-- name: waiting
-- The tasks of a DAG that wait for a worker, by queue, and since when the first of them waits.
SELECT queue, count(*) AS tasks, min(queued_dttm) AS since
FROM task_instance
WHERE dag_id = :dag_id AND state = 'queued' AND queued_dttm IS NOT NULL
GROUP BY queue
ORDER BY queue
