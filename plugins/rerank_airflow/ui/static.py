"""Styles, scripts and icons. They have a route like any other, which needs the login; a mounted folder would not."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

router = APIRouter()


@cache
def files() -> dict[str, bytes]:
    """Every file that is served, by name."""
    return {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}


@cache
def digest() -> str:
    """Changes with any of the files. It is part of their addresses, so that no browser keeps an old file."""
    return hashlib.sha256(b"".join(files().values())).hexdigest()[:12]


@router.get("/static/{name}")
def static(name: str) -> Response:
    """One file."""
    if name not in files():
        raise HTTPException(404)
    return Response(
        files()[name],
        media_type=TYPES[Path(name).suffix],
        headers={"Cache-Control": "private, max-age=86400"},
    )
