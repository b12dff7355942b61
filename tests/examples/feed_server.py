"""One address for ever for each feed: python tests/examples/feed_server.py STORE_FOLDER [PORT], then /feeds/TOPIC.atom.xml."""

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

FORMATS = {
    ".atom.xml": ("atom", "application/atom+xml; charset=utf-8"),
    ".feed.json": ("json_feed", "application/feed+json; charset=utf-8"),
}


class Feeds:
    """Answers with the file that latest.json names now, and with 304 if the subscriber has it."""

    def __init__(self, store: Path, pipeline: str = "news") -> None:
        self.store, self.latest = store, store / pipeline / "latest.json"

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        asked = re.fullmatch(r"/feeds/([a-z0-9_-]+)(\.atom\.xml|\.feed\.json)", environ["PATH_INFO"])
        found = self.find(asked[1], FORMATS[asked[2]][0]) if asked else None
        if asked is None or found is None:
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"no such feed\n"]
        tag, path = found
        headers = [("ETag", tag), ("Cache-Control", "no-cache")]
        if environ.get("HTTP_IF_NONE_MATCH") == tag:
            start("304 Not Modified", headers)
            return []
        content = path.read_bytes()
        start("200 OK", [*headers, ("Content-Type", FORMATS[asked[2]][1])])
        return [content]

    def find(self, topic: str, key: str) -> tuple[str, Path] | None:
        """The feed's tag and file; the file's folder has another name for each page."""
        latest = json.loads(self.latest.read_bytes())
        path = latest["topics"].get(topic, {}).get(key)
        return None if path is None else (f'"{path}"', self.store / path)


if __name__ == "__main__":
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8000
    make_server("127.0.0.1", port, Feeds(Path(sys.argv[1]))).serve_forever()  # type: ignore[arg-type]
