"""How an ordinary `schedule=[asset]` DAG hears that the page moved.

Airflow marks every event of a dag run that has a partition with that partition, and such an event never
starts a DAG that follows plain assets. So a dag run without a partition says it: the ranking DAG's task
`announce` starts one for each publication that the pointer moved to.
"""

from collections.abc import Mapping
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow import assets
from rerank_airflow.defaults import announcing_dag_id
from rerank_airflow.settings import settings_of


class AnnounceOperator(TriggerDagRunOperator):
    """Starts the announcing DAG with what was published; skips itself where the pointer did not move.

    Its dag run is named after the publication, so that a further try announces nothing twice.
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
    """Emits the asset `rankings_current`: of the publication in the dag run's conf; by hand, of the page as it stands."""

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.asset = assets.rankings_current(pipeline)
        self.outlets = [*self.outlets, self.asset]

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        announced = dict(context["dag_run"].conf or {})
        page = announced if "publication_id" in announced else self.standing()
        context["outlet_events"][self.asset].extra = page
        return page

    def standing(self) -> dict[str, Any]:
        """What the pointer points to, as an event says it. Raises AirflowSkipException where there is no page yet."""
        from rerank_core.storage import database as db

        with db.Database(settings_of(self.pipeline).database_url).transaction(read_only=True) as connection:
            row = db.one(connection, "history.current_publication", pipeline=self.pipeline)
        if row is None:
            raise AirflowSkipException(f"pipeline {self.pipeline} has no page yet")
        return {**row, "as_of": row["as_of"].isoformat(), "is_current": True}
