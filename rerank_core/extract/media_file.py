"""Media of a file of articles: pictures and clips of one folder beside it.

A line names its media in `media`: a list of objects with `file`, below the folder, and optionally `caption`, `alt` and `kind`. Nothing
outside of the folder is read, no link is followed, and a URL is no file.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_core.storage import json_lines, local_files

LARGEST = 256 << 20  # bytes of all files of one article
MOST = 64  # media of one article
_FILE = re.compile(r"(?:(?!\.\.?/)[^/\0]+/)*(?!\.\.?$)[^/\0]+")
_VIDEO = re.compile(r".*\.(?:mp4|m4v|mov|webm|mkv)", re.IGNORECASE)


@dataclass(frozen=True)
class Media:
    """What a line's media came to."""

    rows: tuple[Mapping[str, Any], ...] = ()  # of rerank.article_medium, without the article's id
    dropped: tuple[str, ...] = ()  # why others are left out

    @property
    def bytes(self) -> int:
        """The size of all contents."""
        return sum(len(row["content"]) for row in self.rows)


def read_media(value: Any, folder: Path) -> Media:
    """The media of one line: its field `media`, as JSON has it."""
    if value is None:
        return Media()
    if not isinstance(value, list):
        return Media(dropped=(f"media is {json_lines.kind(value)}, not a list",))
    rows, dropped, left = [], [], LARGEST
    for place, found in enumerate(value[:MOST], start=1):
        try:
            row = _row(found, folder, left)
            rows.append({"place": place, **row})
            left -= len(row["content"])
        except ValueError as error:
            dropped.append(str(error))
    if len(value) > MOST:
        dropped.append(f"there are {len(value)} media; the first {MOST} are loaded")
    return Media(tuple(rows), tuple(dropped))


def _row(fields: Any, folder: Path, most: int) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise ValueError(f"a medium is {json_lines.kind(fields)}, not an object")
    texts = {name: _text(fields, name) for name in ("file", "caption", "alt", "kind")}
    file = texts.pop("file")
    if not file or "://" in file or not _FILE.fullmatch(file):
        raise ValueError(f"file {str(file)[:80]!r} is no path below the folder of media")
    kind = texts.pop("kind") or ("video" if _VIDEO.fullmatch(file) else "picture")
    if kind not in {"picture", "video"}:
        raise ValueError(f"kind {kind[:20]!r} of {file[:80]!r} is neither picture nor video")
    content = local_files.read(str(folder), file, most)
    if content is None:
        raise ValueError(f"file {file[:80]!r} is not in the folder of media, is a link, or may not be read")
    if not content:
        raise ValueError(f"file {file[:80]!r} is empty")
    if len(content) > most:
        raise ValueError(
            f"with file {file[:80]!r} the media of one article have more than {LARGEST >> 20} MiB"
        )
    return {"kind": kind, "sha256": hashlib.sha256(content).hexdigest(), "content": content, **texts}


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} of a medium is {json_lines.kind(value)}, not text")
    if value and re.search("[\0\ud800-\udfff]", value):
        raise ValueError(f"{name} of a medium holds a character that Postgres cannot store")
    return value
