"""How an ordinary `schedule=[asset]` DAG hears that the page moved.

Airflow gives every event of a dag run the partition of that dag run. An event with a partition never starts a DAG that
follows plain assets. So the event comes from a dag run without a partition: the ranking DAG's task `announce` starts
such a dag run for each publication that the pointer moved to.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow.defaults import announcing_dag_id
from rerank_airflow.settings import settings_of
from rerank_airflow.signals import assets


class AnnounceOperator(TriggerDagRunOperator):
    """Starts the announcing DAG with what was published; skips itself if the pointer did not move.

    The started dag run is named after the publication, so that another try announces nothing twice.
    """

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(
            trigger_dag_id=announcing_dag_id(pipeline),
            logical_date=None,
            skip_when_already_exists=True,
            openlineage_inject_parent_info=False,
            **kwargs,
        )

    def execute(self, context: Any) -> None:
        published = context["ti"].xcom_pull(task_ids="publish")
        if published is None:
            raise AirflowSkipException("nothing was published")
        if not published["is_current"]:
            raise AirflowSkipException("the page did not move")
        self.conf = {name: published[name] for name in assets.EXTRA}
        self.trigger_run_id = f"publication_{published['publication_id']}"
        super().execute(context)


class CurrentPageOperator(BaseOperator):
    """Emits the asset `rankings_current`: for the publication in the dag run's conf or, by hand, for the current one."""

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.asset = assets.rankings_current(pipeline)
        self.outlets = [*self.outlets, self.asset]

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        announced = dict(context["dag_run"].conf or {})
        publication = announced if "publication_id" in announced else self.current()
        context["outlet_events"][self.asset].extra = publication
        return publication

    def current(self) -> dict[str, Any]:
        """The current publication, as an event tells it. Raises AirflowSkipException if nothing is published yet."""
        from rerank_core.observe import history
        from rerank_core.storage.database import Database

        database = Database(settings_of(self.pipeline).database_url)
        current = history.current_publication(database, pipeline=self.pipeline)
        if current is None:
            raise AirflowSkipException(f"pipeline {self.pipeline} has no page yet")
        values = {**asdict(current), "as_of": current.as_of.isoformat(), "is_current": True}
        return {name: values[name] for name in assets.EXTRA}
