"""Maintenance, and the nightly look at readers' events, as operators."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rerank_airflow.operators.base import PipelineOperator
from rerank_airflow.settings import settings_of


class MaintainOperator(PipelineOperator):
    """Deletes what is past its retention in one pipeline; returns counts of what it looked at and did."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        from rerank_core.operations.maintain import maintain
        from rerank_core.storage.database import Database
        from rerank_core.storage.store import Store

        settings = settings_of(self.pipeline)
        done = maintain(
            database=Database(settings.database_url),
            store=Store(settings.store_url),
            settings=settings,
            dry_run=bool(context["params"]["dry_run"]),
        )
        return asdict(done)


class FeedbackOperator(PipelineOperator):
    """Claims readers' events of RERANK_FEEDBACK_VIEW, if there is one, and makes the report; returns counts."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        from rerank_core.learning import events, report
        from rerank_core.storage.database import Database

        if context["params"]["dry_run"]:
            return {}
        settings = settings_of(self.pipeline)
        database = Database(settings.database_url)
        claimed = events.claim(database, settings)
        made = report.make(database, settings)
        return {**(asdict(claimed) if claimed else {}), "rows": made.rows["counted"]}
