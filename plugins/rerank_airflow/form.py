"""The trigger form: what a person may ask of one dag run."""

from airflow.sdk import Param

from rerank_core.settings import SLUG

FORM = {
    "until": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="Until",
        description="Rank what was ingested before this time; empty means now. A partition has its own end.",
    ),
    "topics": Param(
        None,
        type=["null", "array"],
        items={"type": "string", "pattern": SLUG},
        title="Topics",
        description="Slugs of the topics to rank, one a line; empty means all.",
    ),
    "rescore": Param(
        False,
        type="boolean",
        title="Rescore",
        description="Score again also what the ledger already has.",
    ),
}
