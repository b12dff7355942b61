"""Ways to do it wrong, put into a try's process: the oracle has to find each of them. CONTROLS is the table."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.attempt import MINUTE

# The conductor does these two.
DEADLINE_AFTER_PREPARE = "deadline after prepare"
NO_LATE_PAGE = "no late page"
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


class Misfit(Exception):
    """The library has changed, and a control breaks it no longer. Nothing that is found with it counts."""


@dataclass(frozen=True)
class Control:
    """One way to do it wrong."""

    does: str
    harm: str  # what the oracle must find: a name of Verdict
    kinds: tuple[str, ...]  # of scenarios that bring it to light
    patience: Mapping[str, Any] = field(default_factory=dict)  # of the conductor, with tries that hang
    first_seed: int = 0  # whose scenario is sure to bring it to light


def install(name: str) -> None:
    """Break this process in the named way, for good."""
    _BREAKERS[name]()


def _nothing() -> None:
    """The conductor does it."""


def _watermark() -> None:
    def marked(sql: str) -> str:
        sql = _replaced(sql, "CASE WHEN c.version = s.version", f"CASE WHEN NOT ({AFTER_THE_MARK})")
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

    def overwritten(self: Store, path: str, table: Any, more: Any = ()) -> Any:
        written = write(self, path, table, more)
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


def _one_folder() -> None:
    from rerank_core.storage.store import Store

    def one_folder(self: Store, *, pipeline: str, **_: Any) -> str:
        return f"{pipeline}/pages/1-aa/"

    Store.pages_folder = one_folder  # type: ignore[method-assign]


def _no_time_limit() -> None:
    from rerank_core.prepare import watch

    watch._Clock.check = lambda clock: None  # type: ignore[method-assign]


def _endless_patience() -> None:
    from rerank_core import pipeline

    pipeline.PATIENCE_SECONDS = 3600.0


def _path_unchecked() -> None:
    from rerank_core.storage import local_files

    def through_links(root: str, path: str, content: Any, **_: Any) -> None:
        target = Path(root) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
        local_files.replace(folder, target.name, content)
        os.close(folder)

    local_files.write = through_links


def _write_unchecked() -> None:
    """Half a file counts, and so does none."""
    from rerank_core.storage import local_files

    def hopeful(root: str, path: str, content: Any, **_: Any) -> None:
        target = Path(root) / path
        with suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    local_files.write = hopeful


def _claim_unchecked() -> None:
    from sqlalchemy.exc import OperationalError

    from rerank_core.storage import database

    original = database.the

    def hopeful(connection: Any, name: str, *arguments: Any, **values: Any) -> Any:
        if name != "extract.claim":
            return original(connection, name, *arguments, **values)
        try:
            with connection.begin_nested():
                return original(connection, name, *arguments, **values)
        except OperationalError:
            buckets = "sighted invalid later forgotten unchanged too_late claimed dates_ignored"
            return dict.fromkeys(buckets.split(), 0)

    database.the = hopeful


def _no_network_limit() -> None:
    """TCP's own patience: a quarter of an hour."""
    from rerank_core.storage import database

    database.SILENCE_SECONDS = 0
    database.CONNECT_SECONDS = 0


def _no_redis_limit() -> None:
    from rerank_core.frontends import redis_server
    from rerank_core.settings import Settings

    redis_server.Server._in_time = lambda server, work: work()  # type: ignore[method-assign]
    load = Settings.load.__func__  # type: ignore[attr-defined]

    def patient(cls: Any, **given: Any) -> Any:
        return load(cls, **given | {"redis_timeout_seconds": 600.0})

    Settings.load = classmethod(patient)  # type: ignore[method-assign, assignment]


def _own_clock() -> None:
    """A run ends at what the worker's clock says."""
    from datetime import UTC, datetime

    from rerank_core.storage import database

    original = database.the

    def told(connection: Any, name: str, *arguments: Any, **values: Any) -> Any:
        return (
            {"now": datetime.now(UTC)}
            if name == "runs.now"
            else original(connection, name, *arguments, **values)
        )

    database.the = told


def _upgrade_from_nothing() -> None:
    """An upgrade that forgets what it has done before."""
    _rewrite(
        "migrations.lock",
        lambda sql: (
            "WITH gone AS (DELETE FROM rerank.alembic_version RETURNING 1)"
            " SELECT pg_advisory_xact_lock(CAST(:key AS bigint)), count(*) FROM gone"
        ),
    )


def _uncounted() -> None:
    """An article that cannot be prepared is passed over in silence."""
    _rewrite(
        "prepare.quarantine", lambda sql: "SELECT CAST(:revision_ids AS bigint[]), CAST(:reasons AS text[])"
    )


def _acts_ignored() -> None:
    """The acts of editors are kept, and nobody follows them."""
    from rerank_core.publish import ranking

    ranking._followed = lambda topic, acts: []


def _sources_ignored() -> None:
    """A row is never over the limit of its source."""
    from rerank_core.publish import editorial

    original = editorial.source_numbers
    editorial.source_numbers = lambda sources: original([None] * len(sources))


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
        raise Misfit(f"this control fits no longer: {old!r} is not in the statement")
    return sql.replace(old, new)


_BREAKERS: dict[str, Callable[[], None]] = {
    "watermark": _watermark,
    "no fence": _no_fence,
    "one folder": _one_folder,
    "in place": _in_place,
    "no time limit": _no_time_limit,
    DEADLINE_AFTER_PREPARE: _nothing,
    NO_LATE_PAGE: _nothing,
    "endless patience": _endless_patience,
    "uncounted": _uncounted,
    "path unchecked": _path_unchecked,
    "write unchecked": _write_unchecked,
    "claim unchecked": _claim_unchecked,
    "no network limit": _no_network_limit,
    "no Redis limit": _no_redis_limit,
    "own clock": _own_clock,
    "upgrade from nothing": _upgrade_from_nothing,
    "acts ignored": _acts_ignored,
    "sources ignored": _sources_ignored,
}
# A run that fails is given up soon; so is a try that hangs: without a limit it would hang for ever.
_ONCE = {"tries": 1, "late_seconds": 3.0}
_SOON = {**_ONCE, "hung_seconds": 4.0}
CONTROLS: dict[str, Control] = {
    "watermark": Control(
        "claims what was ingested after the latest claimed article, as most such jobs do",
        "lost",
        ("nothing", "kill", "topic edit"),
    ),
    "no fence": Control(
        "a try commits whether or not a newer one has begun", "stale", ("freeze in publish",)
    ),
    "in place": Control(
        "every publication overwrites one Parquet file", "torn", ("nothing", "overlapping run", "kill")
    ),
    "one folder": Control(
        "topic files and feeds of every page overwrite those of the page before",
        "torn",
        ("nothing", "overlapping run", "kill"),
    ),
    "no time limit": Control(
        "nobody watches how long a helper works on an article", "lost", ("pathological article",), _SOON
    ),
    "uncounted": Control(
        "an article that cannot be prepared is in no bucket", "lost", ("pathological article",), _ONCE
    ),
    DEADLINE_AFTER_PREPARE: Control(
        "the time of the page begins when its articles are prepared", "late", ("pathological article",)
    ),
    NO_LATE_PAGE: Control("nobody publishes a page that is late", "late", ("stalled task",)),
    "endless patience": Control("a late page waits for a try that stands still", "late", ("stalled task",)),
    "path unchecked": Control("a write follows a link out of the store", "broken", ("link in the store",)),
    "write unchecked": Control(
        "a file that could not be written is named all the same", "broken", ("disk full", "store unreachable")
    ),
    "claim unchecked": Control("a claim that failed counts", "doubled", ("database's disk full",)),
    "no network limit": Control(
        "a try waits for the database as long as TCP does",
        "broken",
        ("partition from the database",),
        {"hung_seconds": 4 * MINUTE},
        first_seed=6,  # it cuts a COPY off for good
    ),
    "no Redis limit": Control(
        "a try waits for Redis as long as TCP does",
        "broken",
        ("partition from Redis",),
        {"hung_seconds": 4 * MINUTE},
        first_seed=1,
    ),
    "own clock": Control(
        "a run ends at the time that its worker's clock shows",
        "broken",
        ("clock jump",),
        first_seed=69,  # the worker's clock jumps ahead when the run begins
    ),
    "upgrade from nothing": Control("an upgrade forgets which steps it has done", "broken", ("upgrade",)),
    "acts ignored": Control("a page is published without the pins of editors", "broken", ("nothing", "kill")),
    "sources ignored": Control("a source has more rows than its topic allows", "broken", ("nothing", "kill")),
}
