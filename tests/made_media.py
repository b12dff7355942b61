"""Pictures and clips for tests, drawn by code, and articles that have them."""

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from factories import Newsroom
from PIL import Image

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 200)}


def picture(
    colour: str = "red", *, size: tuple[int, int] = (640, 360), form: str = "JPEG", **how: Any
) -> bytes:
    """A picture of one colour with a white diagonal."""
    made = np.full((size[1], size[0], 3), COLOURS.get(colour, (9, 9, 9)), np.uint8)
    for place in range(min(size)):
        made[place, place : place + 8] = 255
    buffer = io.BytesIO()
    Image.fromarray(made).save(buffer, form, **how)
    return buffer.getvalue()


def clip(
    *, codec: str = "libvpx-vp9", form: str = "webm", frames: int = 40, size: tuple[int, int] = (320, 180)
) -> bytes:
    """A clip whose bar grows from frame to frame. Skips the test if PyAV is not installed."""
    av = pytest.importorskip("av", reason="clips need the extra `video`")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as made:
        quick = {"deadline": "realtime", "cpu-used": "8"} if codec.startswith("libvpx") else {}
        stream = made.add_stream(codec, rate=10, options=quick)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = 5
        for number in range(frames):
            shown = np.zeros((size[1], size[0], 3), np.uint8)
            shown[:, : size[0] * (number + 1) // frames] = (250, 200, 0)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        made.mux(stream.encode())
    return buffer.getvalue()


def add_medium(room: Newsroom, article_id: str, content: bytes | None = None, **fields: Any) -> str:
    """Give an article of the default source a medium; returns the sha256 that the source says."""
    values = {
        "article_id": article_id,
        "kind": "picture",
        "sha256": hashlib.sha256(content or b"").hexdigest(),
        "content": content,
        "path": None,
        "caption": None,
        "alt": None,
        **fields,
    }
    place = "(SELECT COALESCE(max(place), 0) + 1 FROM rerank.article_medium WHERE article_id = :article_id)"
    room.sql(
        "INSERT INTO rerank.article_medium (article_id, place, kind, sha256, content, path, caption, alt)"
        f" VALUES (:article_id, {place}, :kind, :sha256, :content, :path, :caption, :alt)",
        **values,
    )
    return str(values["sha256"])


def outcomes(room: Newsroom) -> list[str]:
    """What became of each medium of the latest revisions, in order."""
    rows = room.sql(
        "SELECT m.outcome FROM rerank.revision_medium m JOIN rerank.revision r USING (revision_id)"
        " ORDER BY r.article_id, r.number, m.place"
    )
    return [row.outcome for row in rows]
