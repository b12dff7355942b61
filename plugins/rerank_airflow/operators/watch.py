"""The age of the page, and what was not announced of it, as an operator."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow.operators.announce import empty_outbox
from rerank_airflow.operators.base import PipelineOperator
from rerank_airflow.signals import metrics, notify


class OldPage(notify.ToldError):
    """The page is older than the schedule makes it. The task is red while that is so; somebody is told once a day."""


class WatchOperator(PipelineOperator):
    """Sends the age of the current page, and tells of a page that is older than the schedule makes it, whatever else runs.

    First it announces what a task that died has left in the outbox.
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from rerank_core.observe import history
        from rerank_core.operations.doctor import page as pages

        announced = empty_outbox(self.pipeline)
        settings, database = self.opened()
        current = history.current_publication(database, pipeline=self.pipeline)
        if current is not None:
            metrics.send("page_age", current.age_seconds, pipeline=self.pipeline)
            metrics.send("page_degraded", int(current.degraded), pipeline=self.pipeline)
        with database.transaction(read_only=True) as connection:
            page = pages.look(connection, settings)
            said = page and pages.to_tell(connection, page)
        if page and said and notify.alert("stale", context, said=f"pipeline {self.pipeline}: {said}"):
            with (
                database.transaction() as connection
            ):  # not if no notifier got through: the next look tries again
                pages.keep_told(connection, page)
        if page and page.is_old:
            raise OldPage(
                f"the page is old: {page.said}; {page.promised}; see the latest dag runs, and `rerank doctor`"
            )
        if current is None:
            raise AirflowSkipException(f"pipeline {self.pipeline} has no page yet")
        return {
            "page_age_seconds": current.age_seconds,
            "degraded": current.degraded,
            "run_id": current.run_id,
            "announced": announced,
        }
