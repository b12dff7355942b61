"""Starts a run for articles that have come, beside the runs of the clock."""

from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow.defaults import RANKING
from rerank_airflow.operators.base import PipelineOperator, start_dag_run
from rerank_core.airflow_settings import of_pipeline


class StartOnArrivalOperator(PipelineOperator):
    """Starts the ranking DAG if articles still wait; skips itself if a run has claimed them meanwhile.

    The dag run is named after what waits. So events that come twice, or while a dag run still waits for its turn, start one.
    It has no partition: its run has a key of its own, and shares no article with the clock's runs.
    """

    def execute(self, context: Any) -> None:
        from rerank_core.extract import arrivals

        settings, database = self.opened()
        waiting = arrivals.waiting(database, settings)
        if waiting.newest is None:
            raise AirflowSkipException("a run has claimed the articles that came")
        self.log.info("%d articles wait, the newest since %s", waiting.articles, waiting.newest)
        name = f"arrival_{waiting.newest:%Y-%m-%dT%H:%M:%S.%f}_{waiting.articles}"
        if not start_dag_run(of_pipeline(RANKING, self.pipeline), name, {}):
            raise AirflowSkipException("a dag run was started for these articles before")
