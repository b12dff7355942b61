"""CONTRACT.md from the contract's tables, the page's prose and the examples: `make contract` writes it.

The prose is contract_page.md. `<<name>>` in it is replaced by a table, or by a file of tests/examples/, which tests run.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rerank_core.frontends import contract, contract_json, feeds
from rerank_core.frontends.columns import Column
from rerank_core.storage import schemas

CHECKOUT = Path(__file__).parents[2]
PROSE = Path(__file__).parent / "contract_page.md"

_JSON_TYPES = {
    "text": "string",
    "text[]": "array of strings",
    "integer": "integer",
    "bigint": "integer",
    "real": "number",
    "double precision": "number",
    "boolean": "boolean",
    "timestamp with time zone": "string, a time",
    "object": "object",
    "list of objects": "array of objects",
}
_ARROW_TYPES = {"float": "float32", "double": "float64"}


def render(examples: Path) -> str:
    """CONTRACT.md as Markdown; `examples` is the folder of the examples. Raises FileNotFoundError for a missing example."""
    tables = {
        "states": _table(
            ("state", "means"), [(f"`{name}`", means) for name, means in contract.STATES.items()]
        ),
        "ranking": _ranking(),
        "topic": _described(contract.TOPIC, [column.type for column in contract.TOPIC]),
        "change": _described(contract.CHANGE, [column.type for column in contract.CHANGE]),
        "latest": _json(contract_json.LATEST),
        "latest_topic": _json(contract_json.LATEST_TOPIC),
        "topic_file": _json(contract_json.TOPIC_FILE),
        "redis_page": _json(contract_json.REDIS_PAGE),
        "json_change": ", ".join(f"`{column.name}`" for column in contract_json.JSON_CHANGE),
        "feed_item": ", ".join(f"`{name}`" for name in feeds.ITEM),
        "feed_page": ", ".join(f"`{name}`" for name in feeds.PAGE),
        "feed_namespace": feeds.NAMESPACE,
        "counts": ", ".join(f"`{column.name}`" for column in contract_json.JSON_COUNTS),
    }

    def part(found: re.Match[str]) -> str:
        name = found[1]
        return tables[name] if name in tables else (examples / name).read_text(encoding="utf-8").rstrip("\n")

    return re.sub(r"<<([\w./]+)>>", part, PROSE.read_text(encoding="utf-8"))


def _ranking() -> str:
    """One table for the columns of the views, of Parquet and of a topic file."""
    in_json = {column.name for column in contract_json.JSON_ARTICLE}
    in_file = {field.name: _ARROW_TYPES.get(str(field.type), str(field.type)) for field in schemas.PUBLISHED}
    rows = [
        (
            f"`{column.name}`",
            column.type,
            in_file.get(column.name, "–"),
            _JSON_TYPES[column.type] if column.name in in_json else "–",
            *_description(column),
        )
        for column in contract.RANKING
    ]
    return _table(("column", "views", "Parquet", "JSON", *_DESCRIPTION), rows)


def _json(keys: Sequence[Column]) -> str:
    return _described(keys, [_JSON_TYPES[key.type] for key in keys], first="key")


def _described(columns: Sequence[Column], types: Sequence[str], *, first: str = "column") -> str:
    rows = [
        (f"`{column.name}`", shown, *_description(column))
        for column, shown in zip(columns, types, strict=True)
    ]
    return _table((first, "type", *_DESCRIPTION), rows)


_DESCRIPTION = ("unit", "meaning", "null means", "promise")


def _description(column: Column) -> tuple[str, str, str, str]:
    return column.unit or "–", column.meaning, column.null or "*never null*", column.promise


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    (CHECKOUT / "CONTRACT.md").write_text(render(CHECKOUT / "tests" / "examples"), encoding="utf-8")
