"""Five ways to do it wrong, put into a try's process: the oracle has to find each of them.

watermark               claims what was ingested after the latest claimed article, as most such jobs do
no fence                a try commits whether or not a newer one has begun
in place                every publication overwrites one Parquet file
no time limit           nobody watches how long a helper works on an article
deadline after prepare  the time of the page begins when its articles are prepared; the conductor does that
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEADLINE_AFTER_PREPARE = "deadline after prepare"
NO_TIME_LIMIT = "no time limit"
CONTROLS = ("watermark", "no fence", "in place", NO_TIME_LIMIT, DEADLINE_AFTER_PREPARE)
AFTER_THE_MARK = (
    "s.ingested_at > COALESCE((SELECT max(r.ingested_at) FROM rerank.revision r WHERE r.pipeline = :pipeline),"
    " '-infinity')"
)

# The function that moves the pointer looks at the fence, too.
MOVE_BY_ANYONE = """
WITH moved AS (
    INSERT INTO rerank.pointer (pipeline, publication_id) VALUES (:pipeline, :publication_id)
    ON CONFLICT (pipeline) DO UPDATE SET publication_id = EXCLUDED.publication_id, moved_at = now()
    RETURNING publication_id
)
INSERT INTO rerank.pointer_move (pipeline, from_publication_id, to_publication_id, reason)
SELECT :pipeline, (SELECT publication_id FROM rerank.pointer WHERE pipeline = :pipeline), publication_id, 'published'
FROM moved
RETURNING to_publication_id
"""


def install(name: str) -> None:
    """Break this process in the named way, for good."""
    {
        "watermark": _watermark,
        "no fence": _no_fence,
        "in place": _in_place,
        NO_TIME_LIMIT: _no_time_limit,
        DEADLINE_AFTER_PREPARE: lambda: None,
    }[name]()


def _watermark() -> None:
    def marked(sql: str) -> str:
        sql = _replaced(sql, "c.version IS NOT DISTINCT FROM s.version", f"NOT ({AFTER_THE_MARK})")
        return _replaced(sql, "c.version IS DISTINCT FROM s.version", AFTER_THE_MARK)

    _rewrite("extract.claim", marked)


def _no_fence() -> None:
    from rerank_core.storage import runs

    def anyone(*_: Any, **__: Any) -> None:
        """Every try may commit."""

    runs.hold_fence = anyone
    _rewrite("publish.move_pointer", lambda sql: MOVE_BY_ANYONE)


def _in_place() -> None:
    from rerank_core.storage.store import Store

    write, full = Store.write, Store.full_path

    def overwritten(self: Store, path: str, table: Any) -> Any:
        written = write(self, path, table)
        if "/rankings/" in path:
            target, content = Path(full(self, path)), Path(full(self, path)).read_bytes()
            with target.open("wb") as stream:
                for start in range(0, len(content), 1 + len(content) // 4):
                    stream.write(content[start : start + 1 + len(content) // 4])
                    stream.flush()
                    time.sleep(0.02)
        return written

    def one_path(self: Store, *, pipeline: str, **_: Any) -> str:
        return f"{pipeline}/rankings/current.parquet"

    Store.ranking_path = one_path  # type: ignore[method-assign]
    Store.write = overwritten  # type: ignore[method-assign]


def _no_time_limit() -> None:
    from rerank_core.prepare import watch

    watch._Clock.check = lambda clock: None  # type: ignore[method-assign]


def _rewrite(name: str, change: Callable[[str], str]) -> None:
    from sqlalchemy import text

    from rerank_core.storage import database

    original = database.statement

    def rewritten(wanted: str, relations: Any = ()) -> Any:
        found = original(wanted, relations)
        return text(change(found.text)) if wanted == name else found

    database.statement = rewritten  # type: ignore[assignment]


def _replaced(sql: str, old: str, new: str) -> str:
    if old not in sql:
        raise AssertionError(f"this control no longer fits: {old!r} is not in the statement")
    return sql.replace(old, new)
