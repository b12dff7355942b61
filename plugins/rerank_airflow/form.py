"""The trigger form: what a person may ask for in one dag run."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from rerank_core.errors import InputError, or_perhaps
from rerank_core.setting_values import SLUG

FORM = {
    "until": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="Until",
        description="Rank what was ingested before this time; empty means now. Leave it empty for a dag run with a partition:"
        " that has its own end.",
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
        description="Score again what has a score already.",
    ),
    "as_claimed_now": Param(
        False,
        type="boolean",
        title="As claimed now",
        description="For a past hour: also rank what later runs have claimed of it. Without it the page is as it was then.",
    ),
    "approve": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Approve",
        description="Number of a blocked run whose scores are right, as `rerank runs` shows it. The run is published with them;"
        " then this dag run ranks as usual. Give the reason below.",
    ),
    "reason": Param(
        None,
        type=["null", "string"],
        title="Reason",
        description="Why the run is approved; needed with Approve, and kept with your name.",
    ),
}
NOT_OURS = frozenset({"openlineage"})  # added by whatever triggered the dag run


def check(conf: Mapping[str, Any] | None) -> None:
    """Raise InputError for a parameter that the form does not have: Airflow would ignore it silently."""
    for name in conf or {}:
        if name not in FORM and name not in NOT_OURS:
            raise InputError(
                f"the dag run's conf has {name!r}, which is no parameter{or_perhaps(name, FORM)};"
                f" there are {', '.join(FORM)}"
            )
