"""The example frontend of `make ui`, with the files that it reads: what a web server would do in a newsroom.

It answers with the page, latest.json, the topic files, the feeds and the small pictures that the store has, and with nothing
else of the store. A feed has an address that stays, `feeds/TOPIC.atom.xml`: the file that latest.json names at the moment. It
listens on this machine.

    python -m rerank_core.frontends.reader PORT     # the store is RERANK_STORE_URL
"""

import os
import re
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rerank_core.errors import RerankError
from rerank_core.frontends import feeds, json_pages
from rerank_core.storage.store import Store
from rerank_core.storage.store_headers import REPLACED, content_type

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "example" / "index.html"
PIPELINE = "news"
FEED = re.compile(r"feeds/([a-z0-9][a-z0-9_-]*)(\.feed\.json|\.atom\.xml)")


class Reader(ThreadingHTTPServer):
    """The server; `store` is what it shows."""

    daemon_threads = True

    def __init__(self, port: int, store: Store) -> None:
        super().__init__((HOST, port), Handler)
        self.store = store

    def file_of(self, path: str) -> str | None:
        """The store's path of what is asked for; None if it is nothing for readers."""
        feed = FEED.fullmatch(path)
        if feed is not None:
            latest = json_pages.read_latest(self.store, PIPELINE) or {"topics": {}}
            keys = {ending: feeds.KEYS[form] for form, ending in feeds.ENDINGS.items()}
            named: str | None = latest["topics"].get(feed[1], {}).get(keys[feed[2]])
            return named
        name = Store.parse(path)
        for_readers = name is not None and name.kind in {"latest", "page", "rendition"}
        return path if for_readers and not path.endswith("/") else None


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of what Reader.file_of allows."""

    server: Reader
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page, a file of the store, 304 if the reader has it, 404, or 503 if the store does not answer."""
        path = self.path.partition("?")[0].removeprefix("/")
        if path in {"", "index.html"}:
            self.answer(PAGE.read_bytes(), "text/html; charset=utf-8", tag=None)
            return
        try:
            file = self.server.file_of(path)
            content = None if file is None else self.server.store.read_json(file)
        except RerankError:
            self.answer(b"the store does not answer\n", "text/plain", status=HTTPStatus.SERVICE_UNAVAILABLE)
            return
        if file is None or content is None:
            self.answer(b"not found\n", "text/plain", status=HTTPStatus.NOT_FOUND)
            return
        tag = f'"{hash(content) & (2**64 - 1):x}"'
        self.answer(content, content_type(file), tag=tag)

    do_HEAD = do_GET

    def answer(
        self, content: bytes, kind: str, *, tag: str | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        """Send an answer; the body only if it is asked for and not known."""
        if tag is not None and self.headers.get("If-None-Match") == tag:
            status, content = HTTPStatus.NOT_MODIFIED, b""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", REPLACED)
        self.send_header("X-Content-Type-Options", "nosniff")
        if tag is not None:
            self.send_header("ETag", tag)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        """Keep the demo's logs to what went wrong."""


if __name__ == "__main__":
    Reader(int(sys.argv[1]), Store(os.environ["RERANK_STORE_URL"])).serve_forever()
