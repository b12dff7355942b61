"""The file of a publication, as a download: part by part, so that a large file takes no more memory than a small one."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from rerank_airflow.ui.access import Chosen
from rerank_core.observe import history
from rerank_core.storage.store import Store

PART_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

router = APIRouter()


@router.get("/parquet")
def parquet(
    request: Request, pipeline: Chosen, publication: Annotated[int, Query(ge=1, le=2**62)]
) -> Response:
    """The file, or the range of its bytes that is asked for; the headers have its digest."""
    with history.reading(pipeline.database) as connection:
        found = history.find_publication(connection, pipeline=pipeline.name, publication_id=publication)
    if found is None:
        raise HTTPException(
            404,
            f"The pipeline {pipeline.name} has no publication {publication}. The view Runs shows those that it has.",
        )
    if found.withdrawn:
        raise HTTPException(404, "The file is withdrawn: it holds an article that was forgotten since.")
    stream = Store(pipeline.settings.store_url).open_file(found.parquet_path)
    if stream is None:
        raise HTTPException(
            404, "The store has no such file: it is past retention, or this server does not share the store."
        )
    size, tag = stream.size(), f'"{found.parquet_sha256}"'
    asked = request.headers.get("range") if request.headers.get("if-range", tag) == tag else None
    span = _span(asked, size)
    name = found.parquet_path.rpartition("/")[2]
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Encoding": "identity",  # a range is one of these bytes: Airflow must not pack them
        "ETag": tag,
        "Repr-Digest": f"sha-256=:{b64encode(bytes.fromhex(found.parquet_sha256)).decode()}:",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    if span is None:
        body, status, headers["Content-Length"] = _whole(stream, found.parquet_sha256), 200, str(size)
    elif span[0] >= span[1]:
        stream.close()
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    else:
        start, end = span
        body, status = _between(stream, start, end), 206
        headers |= {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)}
    return StreamingResponse(
        body, status_code=status, headers=headers, media_type="application/vnd.apache.parquet"
    )


def _span(asked: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None: the whole file, also for several ranges or what is no range."""
    found = _RANGE.fullmatch(asked or "")
    if found is None or found[0] == "bytes=-":
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size
    return int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)


def _whole(stream: Any, sha256: str) -> Iterator[bytes]:
    """Every part; the last one comes only if the digest is right, so that nobody takes an altered file for whole."""
    with stream:
        digest, held = hashlib.sha256(), b""
        while part := stream.read(PART_BYTES):
            digest.update(part)
            if held:
                yield held
            held = part
        if digest.hexdigest() != sha256:
            raise OSError(  # no answer can follow: the connection ends before the last part
                f"a Parquet file was altered: expected sha256 {sha256}, found {digest.hexdigest()}; restore the file"
            )
        yield held


def _between(stream: Any, start: int, end: int) -> Iterator[bytes]:
    with stream:
        stream.seek(start)
        while start < end and (part := stream.read(min(PART_BYTES, end - start))):
            start += len(part)
            yield part
