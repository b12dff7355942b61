"""The DAGs of news-rerank. Copy this file into Airflow's DAG folder; the wheel has the rest."""

from rerank_airflow import ranking_dags

ranking_dags(globals())
