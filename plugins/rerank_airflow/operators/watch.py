"""The age of the page, and what was not announced of it, as an operator."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow.operators.announce import empty_outbox
from rerank_airflow.settings import settings_of
from rerank_airflow.signals import metrics


class WatchOperator(BaseOperator):
    """Sends the age of the current page, so that the age also grows while nothing is published.

    First it announces what a task that died has left in the outbox.
    """

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from rerank_core.observe import history
        from rerank_core.storage.database import Database

        announced = empty_outbox(self.pipeline)
        database = Database(settings_of(self.pipeline).database_url)
        current = history.current_publication(database, pipeline=self.pipeline)
        if current is None:
            raise AirflowSkipException(f"pipeline {self.pipeline} has no page yet")
        metrics.send("page_age", current.age_seconds, pipeline=self.pipeline)
        metrics.send("page_degraded", int(current.degraded), pipeline=self.pipeline)
        return {
            "page_age_seconds": current.age_seconds,
            "degraded": current.degraded,
            "run_id": current.run_id,
            "announced": announced,
        }
