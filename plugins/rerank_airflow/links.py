"""The link that the tasks of a run show in Airflow's UI."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink

from rerank_airflow.views import PREFIX

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class RankingRunLink(BaseOperatorLink):
    """Leads from a task to the view of the run behind its dag run."""

    name = "Ranking run"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:
        base = conf.get("api", "base_url", fallback="/").rstrip("/")
        return f"{base}{PREFIX}/dag-run?{urlencode({'dag_id': ti_key.dag_id, 'dag_run_id': ti_key.run_id})}"
