"""The examples of CONTRACT.md run as they stand, as the frontends' role, on a page that was really published."""

import csv
import functools
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2
import pytest
from factories import Newsroom, make_topic
from newsrooms import installed_engines
from psycopg2.extras import RealDictCursor
from redis_servers import RedisServer, needs_redis
from sqlalchemy import make_url

from rerank_core.demo.postgres import EmbeddedPostgres, find_binaries
from rerank_core.frontends import redis_copy
from rerank_core.settings import Settings
from rerank_core.storage.roles import Roles, script

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = Path(__file__).resolve().parent
JAVASCRIPT = EXAMPLES / "javascript"
ROLES = Roles(
    owner="examples_owner", source="examples_source", writer="examples_writer", frontend="examples_frontend"
)
ROWS = "SELECT * FROM rerank.ranking WHERE publication_id = :p AND slug = 'solar' ORDER BY rank"
NODE = shutil.which("node")

# What a page that does not escape would execute, or be torn by; the cleaning of titles leaves escaped tags as text.
TITLES = (
    "solar <i>!</i> &lt;script&gt;hit()&lt;/script&gt;",
    "solar \" onmouseover='hit()' & more",
    "太阳能 solar 新闻",
    "خطة solar 2030",
    "solar <i>!</i> &lt;/li&gt;&lt;/ol&gt;torn",
    "solar <i>!</i> &amp;amp; wind",
    "solar wind",
)


@dataclass
class Reader:
    """A published page, and a frontend's login."""

    room: Newsroom
    database_url: str
    store: Path

    def run(self, *command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
        """What a program of the reader's prints."""
        found = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**_environment(), "DATABASE_URL": self.database_url, **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert (found.returncode, found.stderr) == (0, "")
        return found.stdout

    def fails(self, *command: str | Path, **environment: str) -> str:
        """What a program that must fail says last."""
        found = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env={**_environment(), "DATABASE_URL": self.database_url, **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert found.returncode != 0
        return found.stderr

    def publication(self) -> int:
        return int(self.room.standing().publication_id)

    def rows(self, publication_id: int | None = None) -> list[Any]:
        """The topic's rows, from the table and not from a view."""
        return self.room.sql(ROWS, p=publication_id or self.publication())


def _environment() -> dict[str, str]:
    without = {"http_proxy", "https_proxy", "all_proxy"}
    return {name: value for name, value in os.environ.items() if name.lower() not in without}


@pytest.fixture(scope="module")
def reader(
    postgres: EmbeddedPostgres, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    url = postgres.create("examples", template=_migrated_template)
    store = tmp_path_factory.mktemp("store")
    engines, undo = installed_engines()
    room = Newsroom(Settings.load(database_url=url, store_url=store.as_uri()), engines)
    as_superuser(url, script(ROLES, source_view="rerank.source_article"))
    room.follow("solar", make_topic(slug="empty", query="solar", languages=("fr",)), "wind")
    for number, title in enumerate(TITLES):
        link = None if number % 2 else f"https://x.example/?a=1&b=\"'<{number}>"
        room.add(title, url=link, source=None if number % 3 else "desk <b>", body="wind " * number)
    room.run("first")
    room.add("solar late")
    room.engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 0}  # so that the second block is there
    room.run("degraded")
    room.engines.options = {}
    made = make_url(url)
    frontend = f"postgresql://{ROLES.frontend}@/{made.database}?host={made.query['host']}"
    yield Reader(room, frontend, store)
    undo()
    postgres.drop("examples")
    as_superuser(
        postgres.create("examples_roles"),
        "".join(f"DROP ROLE {role};" for role in (ROLES.owner, ROLES.source, ROLES.writer, ROLES.frontend)),
    )
    postgres.drop("examples_roles")


def as_superuser(url: str, statements: str) -> None:
    made = make_url(url)
    connection = psycopg2.connect(dbname=made.database, user="postgres", host=made.query["host"])
    connection.autocommit = True
    connection.cursor().execute(statements)
    connection.close()


def publish_another(reader: Reader, title: str) -> None:
    """Put another article first: every rank is another article's then."""
    before = reader.publication()
    reader.room.add(title, body="solar " * 20)
    reader.room.run(title)
    assert reader.publication() > before


class Items(HTMLParser):
    """What a browser makes of list items: (rank, link, text)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[int, str | None, str]] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        if tag == "li":
            self.found.append((int(values["value"] or 0), None, ""))
        elif tag == "a":
            assert set(values) == {"href", "rel"}
            rank, _, text = self.found[-1]
            self.found[-1] = (rank, values["href"], text)

    def handle_data(self, data: str) -> None:
        if self.found and data.strip():
            rank, link, text = self.found[-1]
            self.found[-1] = (rank, link, text + data.rstrip("\n"))


def shown(rows: list[Any]) -> list[tuple[int, str | None, str]]:
    """What a person must see of these rows."""
    return [
        (
            row["rank"],
            row["url"],
            row["title"]
            + ("" if row["source"] is None else f" – {row['source']}")
            + ("" if row["ranked_by"] == "model" else " (not scored yet)"),
        )
        for row in rows
    ]


def mappings(rows: list[Any]) -> list[Any]:
    return [row if isinstance(row, dict) else row._mapping for row in rows]


def assert_items(page: str, rows: list[Any]) -> None:
    items = Items(page)
    assert items.found == shown(mappings(rows))
    assert items.tags == {"ol", "li", "a"}


def test_the_page_is_worth_reading(reader: Reader) -> None:
    rows = mappings(reader.rows())
    assert len(rows) == len(TITLES) + 1
    assert {row["ranked_by"] for row in rows} == {"model", "bm25"}
    titles = {row["title"] for row in rows}
    assert {"solar ! <script>hit()</script>", "solar ! </li></ol>torn", "太阳能 solar 新闻"} <= titles


def example() -> ModuleType:
    """page.py, to be driven step by step."""
    spec = importlib.util.spec_from_file_location("page", EXAMPLES / "page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestSql:
    def psql(self, reader: Reader, *variables: str) -> list[list[dict[str, str]]]:
        """The tables that page.sql prints, behind the line about the topic."""
        options = [part for variable in variables for part in ("-v", variable)]
        psql = find_binaries() / "psql"
        printed = reader.run(
            psql, "-X", "-q", "--csv", reader.database_url, *options, "-f", EXAMPLES / "page.sql"
        )
        head, _, tables = printed.partition("\n")
        assert head == f"degraded {len(TITLES) + 1}"
        found: list[list[dict[str, str]]] = []
        names: list[str] = []
        for line in csv.reader(io.StringIO(tables)):
            if line[0] in {"rank", "readable"}:
                names = line
                found.append([])
            else:
                found[-1].append(dict(zip(names, line, strict=True)))
        return found

    def test_psql_reads_the_first_rows_and_the_next_ones(self, reader: Reader) -> None:
        first, following, readable = self.psql(reader, "topic=solar", "size=3")
        rows = mappings(reader.rows())
        for found, expected in ((first, rows[:3]), (following, rows[3:6])):
            assert [
                (int(row["rank"]), row["article_id"], row["title"], row["url"] or None) for row in found
            ] == [(row["rank"], row["article_id"], row["title"], row["url"]) for row in expected]
            assert [row["ranked_by"] for row in found] == [row["ranked_by"] for row in expected]
        assert readable == [{"readable": "t"}]

    def test_behind_the_last_row_comes_none(self, reader: Reader) -> None:
        first, following, _ = self.psql(reader, "topic=solar", "last=8")
        assert len(first) == len(TITLES) + 1
        assert following == []

    def test_it_reads_what_the_page_before_did_not_have(self, reader: Reader) -> None:
        publish_another(reader, "solar in the news")
        psql = find_binaries() / "psql"
        printed = reader.run(
            psql,
            "-X",
            "-q",
            "--csv",
            reader.database_url,
            "-v",
            "topic=solar",
            "-f",
            EXAMPLES / "changes.sql",
        )
        (first, *_) = csv.DictReader(io.StringIO(printed))
        assert (first["change"], first["title"], first["rank_before"], first["cause"]) == (
            "entered",
            "solar in the news",
            "",
            "published",
        )
        assert first["rank_now"] == str(
            next(row.rank for row in reader.rows() if row.title == first["title"])
        )


class TestFeedServer:
    @pytest.fixture
    def server(self, reader: Reader) -> Any:
        """feed_server.py, and a way to ask it: path → status, headers, body."""
        spec = importlib.util.spec_from_file_location("feed_server", EXAMPLES / "feed_server.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        feeds = module.Feeds(reader.store)

        def ask(path: str, **environ: str) -> tuple[str, dict[str, str], bytes]:
            answers: list[tuple[str, dict[str, str]]] = []
            body = feeds(
                {"PATH_INFO": path, **environ},
                lambda status, headers: answers.append((status, dict(headers))),
            )
            return (*answers[0], b"".join(body))

        return ask

    def test_one_address_gives_the_feed_of_each_page(self, reader: Reader, server: Any) -> None:
        for number in range(2):
            status, headers, body = server("/feeds/solar.atom.xml")
            assert (status, headers["Content-Type"]) == ("200 OK", "application/atom+xml; charset=utf-8")
            assert f"<rerank:publication_id>{reader.publication()}<".encode() in body
            assert server("/feeds/solar.atom.xml", HTTP_IF_NONE_MATCH=headers["ETag"])[::2] == (
                "304 Not Modified",
                b"",
            )
            publish_another(reader, f"solar again {number}")

    def test_nothing_else_is_found(self, server: Any) -> None:
        for path in ("/feeds/none.atom.xml", "/feeds/../latest.json", "/feeds/solar.html", "/"):
            assert server(path)[0] == "404 Not Found"


class TestPython:
    def test_it_prints_the_topic_and_no_text_becomes_a_tag(self, reader: Reader) -> None:
        assert_items(reader.run(sys.executable, EXAMPLES / "page.py", "solar", "3"), reader.rows())

    def test_a_topic_without_articles_prints_nothing_and_an_unknown_one_is_an_error(
        self, reader: Reader
    ) -> None:
        assert reader.run(sys.executable, EXAMPLES / "page.py", "empty") == ""
        assert "no topic 'none'" in reader.fails(sys.executable, EXAMPLES / "page.py", "none")

    def test_pages_are_of_one_publication_whatever_comes_in_between(self, reader: Reader) -> None:
        began = reader.publication()
        connection = psycopg2.connect(reader.database_url)
        connection.autocommit = True
        found = []
        with connection.cursor(cursor_factory=RealDictCursor) as cursor:
            for number, rows in enumerate(example().pages(cursor, "solar", 3)):
                found += rows
                publish_another(reader, f"solar python {number}")
        connection.close()
        assert shown(found) == shown(mappings(reader.rows(began)))

    def test_a_publication_that_can_no_longer_be_read_is_told_from_the_end(self, reader: Reader) -> None:
        connection = psycopg2.connect(reader.database_url)
        connection.autocommit = True
        with connection.cursor(cursor_factory=RealDictCursor) as cursor:
            module = example()
            pages = module.pages(cursor, "solar", 3)
            assert len(next(pages)) == 3
            publish_another(reader, "solar a day later")
            reader.room.sql("UPDATE rerank.pointer_move SET moved_at = moved_at - interval '25 hours'")
            with pytest.raises(module.Expired):
                next(pages)
        connection.close()


@pytest.mark.parametrize("name", ["page_duckdb.py", "page_polars.py"])
class TestParquet:
    def test_the_file_of_the_page_gives_the_expected_rows(self, reader: Reader, name: str) -> None:
        printed = reader.run(sys.executable, EXAMPLES / name, reader.store)
        found = [line.split("\t") for line in printed.splitlines()]
        publication_id = reader.publication()
        if name == "page_duckdb.py":
            expected = reader.room.sql(
                "SELECT DISTINCT ON (slug) slug, article_id, title, to_char(logit, 'FM9990.000')"
                " FROM rerank.ranking WHERE publication_id = :p AND ranked_by = 'model' ORDER BY slug, rank",
                p=publication_id,
            )
        else:
            expected = reader.room.sql(
                "SELECT slug, count(*), count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE ranked_by <> 'model'),"
                " percentile_cont(0.5) WITHIN GROUP (ORDER BY greatest(0, trunc(extract(epoch FROM"
                "   p.as_of - r.began_at) / 60)))"
                " FROM rerank.ranking r JOIN rerank.publication p USING (publication_id)"
                " WHERE publication_id = :p GROUP BY slug ORDER BY slug",
                p=publication_id,
            )
        assert found == [[str(value) for value in row] for row in expected]
        assert {row[0] for row in found} == {"solar", "wind"}

    def test_a_file_that_was_altered_is_refused(self, reader: Reader, name: str, tmp_path: Path) -> None:
        path = reader.room.standing().parquet_path
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes((reader.store / path).read_bytes() + b" ")
        said = reader.fails(sys.executable, EXAMPLES / name, tmp_path)
        assert "expected sha256" in said or "not the file that was published" in said


@needs_redis
class TestRedis:
    def test_a_topic_is_read_from_its_key_and_one_without_a_copy_is_told(
        self, reader: Reader, redis_server: RedisServer
    ) -> None:
        room = reader.room.tuned(redis_url=redis_server.url)
        example = [sys.executable, EXAMPLES / "page_redis.py", "solar"]
        assert "read the view" in reader.fails(*example, REDIS_URL=redis_server.url)
        redis_copy.sync(database=room.database, settings=room.settings)
        printed = reader.run(*example, REDIS_URL=redis_server.url).splitlines()
        rows, standing = reader.rows(), reader.room.standing()
        as_of = standing.as_of.isoformat()
        assert printed[0] == f"solar: {standing.state}, {len(rows)} articles, as of {as_of}"
        assert printed[1:] == [f"{row.rank}\t{row.article_id}\t{row.title}" for row in rows[:10]]


@pytest.mark.skipif(NODE is None, reason="needs node (Debian: nodejs)")
class TestJavascript:
    with_pg = pytest.mark.skipif(
        not (JAVASCRIPT / "node_modules" / "pg").is_dir(),
        reason="needs node-postgres: npm ci --prefix tests/examples/javascript",
    )

    # Reads a topic page by page; waits for a line before each page after the first.
    STEPS = """
        import { createInterface } from "node:readline";
        import pg from "pg";
        import { item, pages } from "./page.mjs";
        const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
        const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
        await client.connect();
        for await (const rows of pages(client, "solar", 3)) {
          console.log(rows.map(item).join(""));
          await lines.next();
        }
        console.log("end");
        await client.end();
        process.exit(0);
    """

    @with_pg
    def test_it_prints_the_topic_and_no_text_becomes_a_tag(self, reader: Reader) -> None:
        assert NODE is not None
        assert_items(reader.run(NODE, JAVASCRIPT / "page.mjs", "solar", "3"), reader.rows())

    @with_pg
    def test_an_unknown_topic_is_an_error(self, reader: Reader) -> None:
        assert NODE is not None
        assert 'no topic "none"' in reader.fails(NODE, JAVASCRIPT / "page.mjs", "none")

    @with_pg
    def test_pages_are_of_one_publication_whatever_comes_in_between(self, reader: Reader) -> None:
        assert NODE is not None
        began, page = reader.publication(), ""
        with subprocess.Popen(
            [NODE, "--input-type=module", "-e", self.STEPS],
            cwd=JAVASCRIPT,
            env={**_environment(), "DATABASE_URL": reader.database_url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            for number, line in enumerate(process.stdout):
                if line == "end\n":
                    break
                page += line
                publish_another(reader, f"solar javascript {number}")
                process.stdin.write("\n")
                process.stdin.flush()
        assert process.returncode == 0
        assert Items(page).found == shown(mappings(reader.rows(began)))

    @pytest.fixture
    def server(self, reader: Reader) -> Iterator[tuple[str, list[str]]]:
        """The store over HTTP, and the paths that were asked for."""
        asked: list[str] = []

        class Handler(SimpleHTTPRequestHandler):
            def log_request(self, code: Any = "-", size: Any = "-") -> None:
                asked.append(f"{self.path} {int(code)}")

            def log_message(self, *_: Any) -> None:
                pass

        handler: Callable[..., Any] = functools.partial(Handler, directory=str(reader.store))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
            thread = threading.Thread(target=http.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{http.server_address[1]}", asked
            http.shutdown()
            thread.join()

    def test_it_follows_latest_json(self, reader: Reader, server: tuple[str, list[str]]) -> None:
        assert NODE is not None
        printed = reader.run(NODE, JAVASCRIPT / "latest.mjs", server[0], "solar").splitlines()
        rows, standing = reader.rows(), reader.room.standing()
        as_of = standing.as_of.isoformat()
        assert printed[0] == f"solar: {standing.state}, {len(rows)} articles, as of {as_of}"
        assert printed[1:] == [f"{row.rank}\t{row.article_id}\t{row.title}" for row in rows[:10]]

    def test_an_unknown_topic_and_a_store_without_pages_are_told(
        self, reader: Reader, server: tuple[str, list[str]]
    ) -> None:
        assert NODE is not None
        assert "no topic none" in reader.fails(NODE, JAVASCRIPT / "latest.mjs", server[0], "none")
        away = f"{server[0]}/news"
        assert "nothing is published yet" in reader.fails(NODE, JAVASCRIPT / "latest.mjs", away, "solar")

    def test_where_a_topics_file_is_gone_latest_json_is_read_again(
        self, reader: Reader, server: tuple[str, list[str]]
    ) -> None:
        assert NODE is not None
        entry = next(reader.store.glob("news/latest.json"))
        content = entry.read_text(encoding="utf-8")
        entry.write_text(content.replace("solar.json", "gone.json"), encoding="utf-8")
        try:
            said = reader.fails(NODE, JAVASCRIPT / "latest.mjs", server[0], "solar")
        finally:
            entry.write_text(content, encoding="utf-8")
        assert "moves faster" in said
        assert [path.endswith("latest.json 200") for path in server[1]] == [True, False] * 3
