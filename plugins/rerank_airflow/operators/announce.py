"""How an ordinary `schedule=[asset]` DAG hears that the page moved.

Airflow gives every event of a dag run the partition of that dag run. An event with a partition never starts a DAG that
follows plain assets. So the event comes from a dag run without a partition: a dag run of the announcing DAG for each
publication that the page moved to.

These publications come from the outbox in the database, and not from the task that published: that task may have died after
its commit. The ranking DAG's task `announce` empties the outbox, and so does `watch_rankings`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow.defaults import ANNOUNCING
from rerank_airflow.operators.base import PipelineOperator, start_dag_run
from rerank_airflow.settings import settings_of
from rerank_airflow.signals import assets
from rerank_core.airflow_settings import of_pipeline


def empty_outbox(pipeline: str) -> list[int]:
    """Start the announcing DAG for each publication in the outbox, the oldest move first; returns the publications' ids.

    A dag run is named after its publication. So a publication is announced once, though two tasks find it in the outbox, or
    one dies before it takes the publication out.
    """
    from rerank_core.observe import announcements
    from rerank_core.storage.database import Database

    database = Database(settings_of(pipeline).database_url)
    told = []
    for move in announcements.pending(database, pipeline=pipeline):
        publication_id = move.publication.publication_id
        event = _event(move.publication, move.news)
        start_dag_run(of_pipeline(ANNOUNCING, pipeline), f"publication_{publication_id}", event)
        announcements.settle(database, pipeline=pipeline, pointer_move_id=move.pointer_move_id)
        told.append(publication_id)
    return told


def _event(publication: Any, news: Any) -> dict[str, Any]:
    """A publication that the page moved to, and what it changed, as an event tells it."""
    values = {
        **asdict(publication),
        "as_of": publication.as_of.isoformat(),
        "is_current": True,
        **asdict(news),
    }
    return {name: values[name] for name in (*assets.EXTRA, *assets.NEWS)}


class AnnounceOperator(PipelineOperator):
    """Announces each publication that the page moved to and that was not announced yet; skips itself if there is none."""

    def execute(self, context: Mapping[str, Any]) -> list[int]:
        told = empty_outbox(self.pipeline)
        if not told:
            raise AirflowSkipException("the page did not move")
        return told


class CurrentPageOperator(PipelineOperator):
    """Emits the asset `rankings_current`: for the publication in the dag run's conf or, by hand, for the current one."""

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(pipeline=pipeline, **kwargs)
        self.asset = assets.rankings_current(pipeline)
        self.outlets = [*self.outlets, self.asset]

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        announced = dict(context["dag_run"].conf or {})
        publication = announced if "publication_id" in announced else self.current()
        context["outlet_events"][self.asset].extra = publication
        return publication

    def current(self) -> dict[str, Any]:
        """The current publication, as an event tells it. Raises AirflowSkipException if nothing is published yet."""
        from rerank_core.observe import announcements

        _, database = self.opened()
        move = announcements.current(database, pipeline=self.pipeline)
        if move is None:
            raise AirflowSkipException(f"pipeline {self.pipeline} has no page yet")
        return _event(move.publication, move.news)
