"""Renditions: pictures that were made small, and the frames of clips, as files of the store. All pipelines share them.

A file's name is the sha256 of its content, so equal pictures are one file. Its row in `rerank.rendition` is the lock: whoever writes
or removes the file holds the row until the end of the transaction. So a row that others can see has its file, and
nothing removes a file that a run is taking up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from rerank_core.storage import database as db
from rerank_core.storage.rendition_names import digest_of
from rerank_core.storage.store import Store


@dataclass(frozen=True)
class Rendition:
    """A picture or a clip as this library has made it: JPEG, or WebP whose frames are those of a clip."""

    path: str  # in the store
    content: bytes
    width: int  # pixels, at most LONGEST_SIDE
    height: int
    frames: int  # 1: a picture; else the evenly spaced frames of a clip


def read(store: Store, path: str) -> bytes:
    """The bytes of a rendition, which are those that its name says. Raises CorruptError if it is gone or altered."""
    return store.read_bytes(path, sha256=digest_of(path))


def keep(connection: Connection, store: Store, renditions: Mapping[str, Rendition]) -> None:
    """Write renditions that the store lacks, and hold all of them until the transaction ends: path → rendition."""
    wanted = [
        renditions[path] for path in sorted(renditions)
    ]  # one order, so that no two runs wait for each other
    if not wanted:
        return
    held = db.rows(
        connection,
        "renditions.hold",
        paths=[each.path for each in wanted],
        widths=[each.width for each in wanted],
        heights=[each.height for each in wanted],
        frames=[each.frames for each in wanted],
    )
    for row in held:
        # The file of a row may be gone: a clean-up was killed between the two.
        if row["is_new"] or not store.has(row["path"]):
            store.write_picture(row["path"], renditions[row["path"]].content)
