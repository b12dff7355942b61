"""A clean-up of a newsroom in a test, and time that passes in it."""

import os
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from factories import Newsroom

from rerank_core.frontends import json_pages, json_text
from rerank_core.operations import maintain
from rerank_core.operations.maintain import Maintained
from rerank_core.storage import runs

TIMES = {
    "article": ("ingested_at",),
    "claim": ("first_ingested_at",),
    "pointer": ("moved_at",),
    "pointer_move": ("moved_at",),
    "publication": ("as_of", "published_at"),
    "ranking": ("first_ingested_at",),
    "rendition": ("used_at",),
    "revision": ("ingested_at", "first_ingested_at"),
    "run": (
        "since",
        "fresh_since",
        "until",
        "created_at",
        "claimed_at",
        "prepared_at",
        "frozen_at",
        "published_at",
    ),
    "store_removal": ("due_at", "requested_at"),
}


def clean(room: Newsroom, **options: Any) -> Maintained:
    return maintain.maintain(
        database=room.database, store=room.resources.store, settings=room.settings, **options
    )


def root(room: Newsroom) -> Path:
    return Path(room.resources.store.full_path(""))


def files(room: Newsroom) -> set[str]:
    return {file.path for file in room.resources.store.files("")}


def pass_days(room: Newsroom, days: float) -> None:
    """Everything that is there happened so many days earlier."""
    latest = json_pages.read_latest(room.resources.store, "news")
    was_right = latest is not None and json_pages.is_up_to_date(room.database, room.resources.store, "news")
    changes = ["ALTER TABLE rerank.article DISABLE TRIGGER USER"]  # an edit would be a new version
    for table, names in TIMES.items():
        earlier = ", ".join(f"{name} = {name} - make_interval(secs => {days * 86_400})" for name in names)
        changes.append(f"UPDATE rerank.{table} SET {earlier}")
    changes.append("ALTER TABLE rerank.article ENABLE TRIGGER USER")
    with room.database.transaction() as connection:
        connection.exec_driver_sql(";".join(changes))
    if latest is not None and was_right:
        page = json_pages.current(room.database, "news")
        assert page is not None
        file, stood = root(room) / "news/latest.json", (root(room) / "news/latest.json").stat().st_mtime
        file.write_bytes(json_text.to_json({**latest, "content": page["content"]}))
        os.utime(file, (stood, stood))
    for path in files(room):
        stood = (root(room) / path).stat().st_mtime
        os.utime(root(room) / path, (time.time(), stood - days * 86_400))


def is_whole(room: Newsroom) -> bool:
    """Whether the page is there: in the view, as Parquet, as what its run was made from, and as JSON."""
    standing = room.standing()
    store = room.resources.store
    rows = pq.read_table(store.full_path(standing.parquet_path)).num_rows
    with room.database.transaction(read_only=True) as connection:
        run = runs.get(connection, standing.run_id)
    latest = json_pages.read_latest(store, "news")
    assert latest is not None
    return (
        rows == room.value("SELECT count(*) FROM rerank.current_ranking") > 0
        and {str(run.members_path), str(run.pairs_path), *json_pages.paths(latest)} <= files(room)
        and latest["publication_id"] == standing.publication_id
    )
