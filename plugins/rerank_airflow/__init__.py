"""Everything of news-rerank that needs Airflow: DAGs, operators, signals, placement, connections, the identity of a run, and views."""

from collections.abc import MutableMapping
from typing import Any


def ranking_dags(namespace: MutableMapping[str, Any]) -> None:
    """Put every DAG of every pipeline into `namespace`, the globals of a DAG file: there Airflow finds it under its id.

    Raises SettingsError if a setting is wrong; Airflow shows it as the file's import error.
    """
    from rerank_airflow.dags import (  # here, so that no import of another module loads them
        announce_rankings,
        maintain_rankings,
        publish_overdue_rankings,
        rank_new_articles,
        rank_on_arrival,
        watch_rankings,
    )
    from rerank_airflow.settings import AirflowSettings, pipelines

    builders = [
        rank_new_articles.ranking_dag,
        publish_overdue_rankings.overdue_dag,
        announce_rankings.announcing_dag,
        watch_rankings.watching_dag,
        maintain_rankings.maintaining_dag,
    ]
    if AirflowSettings.load().start_on_arrival:
        builders.append(rank_on_arrival.arrival_dag)
    for pipeline in pipelines():
        for build in builders:
            dag = build(pipeline)
            namespace[dag.dag_id] = dag
