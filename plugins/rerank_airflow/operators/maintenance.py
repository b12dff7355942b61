"""Maintenance, and the nightly look at readers' events, as operators."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rerank_airflow.operators.base import PipelineOperator


class MaintainOperator(PipelineOperator):
    """Deletes what is past its retention in one pipeline; returns counts of what it looked at and did."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        from rerank_core.operations.maintain import maintain
        from rerank_core.storage.store import Store

        settings, database = self.opened()
        done = maintain(
            database=database,
            store=Store(settings.store_url),
            settings=settings,
            dry_run=bool(context["params"]["dry_run"]),
        )
        return asdict(done)


class FeedbackOperator(PipelineOperator):
    """Claims readers' events of RERANK_FEEDBACK_VIEW, if there is one, and makes the report; returns counts."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        from rerank_core.learning import events, report

        if context["params"]["dry_run"]:
            return {}
        settings, database = self.opened()
        claimed = events.claim(database, settings)
        made = report.make(database, settings)
        return {**(asdict(claimed) if claimed else {}), "rows": made.rows["counted"]}
