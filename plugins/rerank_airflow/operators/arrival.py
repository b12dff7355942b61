"""Starts a run for articles that have come, beside the runs of the clock."""

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow.defaults import dag_id
from rerank_airflow.settings import settings_of


class StartOnArrivalOperator(TriggerDagRunOperator):
    """Starts the ranking DAG if articles still wait; skips itself if a run has claimed them meanwhile.

    The dag run is named after what waits. So events that come twice, or while a dag run still waits for its turn, start one.
    It has no partition: its run has a key of its own, and shares no article with the clock's runs.
    """

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(
            trigger_dag_id=dag_id(pipeline),
            logical_date=None,
            skip_when_already_exists=True,
            openlineage_inject_parent_info=False,
            **kwargs,
        )
        self.pipeline = pipeline

    def execute(self, context: Any) -> None:
        from rerank_core.extract import arrivals
        from rerank_core.storage.database import Database

        settings = settings_of(self.pipeline)
        waiting = arrivals.waiting(Database(settings.database_url), settings)
        if waiting.newest is None:
            raise AirflowSkipException("a run has claimed the articles that came")
        self.log.info("%d articles wait, the newest since %s", waiting.articles, waiting.newest)
        self.trigger_run_id = f"arrival_{waiting.newest:%Y-%m-%dT%H:%M:%S.%f}_{waiting.articles}"
        super().execute(context)
