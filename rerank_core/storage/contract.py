"""The contract of a view that others map: which columns it has, of which types."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from rerank_core.errors import SourceError
from rerank_core.setting_values import relation_names
from rerank_core.storage import database as db

Columns = Mapping[str, tuple[str, ...]]  # of a view → the Postgres types that each may have


def check_columns(
    connection: Connection,
    view: str,
    *,
    columns: Columns,
    required: Sequence[str],
    default: str,
    setting: str,
    kind: str = "source view",
) -> frozenset[str]:
    """Raise SourceError if the view does not exist, or lacks a column, or has one of a wrong type.

    The error names every such column and says how to write it. `columns` are the types that each may have, `required`
    those that are never null, `default` is the view of this library's own, and `setting` names the variable of the view.
    Returns the columns that the contract does not know.
    """
    found = {row["name"]: row["type"] for row in db.rows(connection, "source.columns", view=view)}
    if not found:
        upgrade = "run `rerank db upgrade`, which makes it in the database of RERANK_DATABASE_URL"
        advice = upgrade if view == default else f"create it, or set {setting}"
        folded = ".".join(relation_names(view))
        if '"' not in view and folded != view:
            quoted = ".".join(f'"{name}"' if name != name.lower() else name for name in view.split("."))
            advice = (
                f"Postgres reads a name without quotes as {folded}: if the view's name has capitals, set"
                f" {setting}='{quoted}', else {advice}"
            )
        raise SourceError(f"{kind} {view} does not exist; {advice}")
    problems = []
    for name, types in columns.items():
        if name not in found:
            problems.append(
                f"column {name} is missing"
                + ("" if name in required else f" (select NULL::{types[0]} AS {name} if you have none)")
            )
        elif found[name] == "timestamp without time zone":
            problems.append(f"{name} has no time zone; write {name} AT TIME ZONE 'UTC' AS {name}")
        elif found[name] not in types:
            problems.append(f"{name} is {found[name]}; write CAST({name} AS {types[0]}) AS {name}")
    if problems:
        raise SourceError(f"{kind} {view}: " + "; ".join(problems))
    return frozenset(found.keys() - columns.keys())
