"""Yesterday's dump and a store are restored, by the page's own commands, and every promise still holds."""

import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pages
import psycopg2
import pytest
from factories import FakeEngines, Newsroom
from faults import oracle_claims, oracle_news, oracle_pages
from faults.asker import Asker
from psycopg2.extras import RealDictCursor
from sqlalchemy import make_url

from rerank_core.demo.postgres import EmbeddedPostgres, find_binaries
from rerank_core.frontends import json_pages
from rerank_core.operations import removal, restored
from rerank_core.operations.doctor.page import check_page_file
from rerank_core.settings import Settings

PAGE = pages.ROOT / "sql" / "README.md"


def command(first: str) -> list[str]:
    """The words of the page's only command that begins so."""
    (found,) = [each.words for each in pages.commands(PAGE) if each.words[0] == first and each.is_whole]
    return list(found)


def forget(room: Newsroom) -> None:
    removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id="solar 2",
        reason="asked to",
    )


def first_after(room: Newsroom, kept: int) -> int:
    """The first publication after the restored ones."""
    found: int = room.value(
        "SELECT min(publication_id) FROM rerank.publication WHERE publication_id > :kept", kept=kept
    )
    return found


class Site:
    """A newsroom with yesterday's backup, and what happened since."""

    def __init__(self, room: Newsroom, postgres: EmbeddedPostgres, folder: Path) -> None:
        self.room, self.postgres, self.folder = room, postgres, folder
        self.store = Path(room.resources.store.local_folder or "")
        room.follow("solar", "tide")
        room.add("solar 1", "solar 2", "tide 1")
        self.rows = room.run("hour 1")["publish"]["rows_sha256"]
        room.run("hour 2")
        self.dump()
        shutil.copytree(self.store, folder / "yesterday")
        room.add("solar 3", "tide 2")
        room.edit("solar 1", title="solar 1 again", version=10**9)
        room.run("hour 3")
        forget(room)

    def run(self, words: list[str]) -> None:
        url = make_url(self.room.settings.database_url)
        binary = find_binaries() / words[0]
        where = [f"--host={url.query['host']}", "--username=postgres"]
        subprocess.run([str(binary), *where, *words[1:]], check=True, capture_output=True, timeout=60)

    def dump(self) -> None:
        words = command("pg_dump")
        assert words[-1] == "news"
        at = f"--file={self.folder / 'news.dump'}"
        words = [at if word.startswith("--file=") else word for word in words]
        self.run([*words[:-1], str(make_url(self.room.settings.database_url).database)])

    def restore(self, *, finish: bool = True) -> Newsroom:
        """The newsroom on the restored database, as the page says."""
        self.postgres.drop("news_restored")
        self.run(command("createdb"))
        words = command("pg_restore")
        self.run([*words[:-1], str(self.folder / words[-1])])
        settings = self.room.settings.model_copy(update={"database_url": self.postgres.url("news_restored")})
        again = Newsroom(settings, self.room.engines)
        if finish:
            done = restored.finish(database=again.database, store=again.resources.store, settings=settings)
            assert (done.pipelines, done.without_file) == (("news",), ())
        return again

    def bring_source(self, again: Newsroom) -> None:
        """The source lives on: it has what it has now, not what it had yesterday."""
        columns = "article_id, version, ingested_at, title, lang"
        rows = [dict(row._mapping) for row in self.room.sql(f"SELECT {columns} FROM rerank.article")]
        again.sql("DELETE FROM rerank.article")
        for row in rows:
            again.sql(
                f"INSERT INTO rerank.article ({columns}) VALUES (:{columns.replace(', ', ', :')})", **row
            )

    def judge(self, room: Newsroom) -> list[str]:
        """What the fire's judge finds, of all that needs no log of a fire."""
        dsn = make_url(room.settings.database_url).set(drivername="postgresql")
        with closing(
            psycopg2.connect(dsn.render_as_string(hide_password=False), cursor_factory=RealDictCursor)
        ) as connection:
            ask = Asker(connection)
            rankings = oracle_pages.rankings(ask)
            return [
                *oracle_claims.twice(ask),
                *oracle_claims.final_versions(ask),
                *oracle_claims.unprepared(ask),
                *oracle_claims.counts(ask),
                *oracle_pages.publications(ask, rankings, self.store),
                *oracle_pages.repeats(ask),
                *oracle_pages.pointer(ask),
                *oracle_pages.gate(ask),
                *oracle_pages.last_page(ask, rankings),
                *oracle_pages.hints(ask, rankings, self.store),
                *oracle_news.changes(ask, rankings),
                *oracle_news.feeds(ask, rankings, self.store),
            ]


@pytest.fixture
def site(
    database_url: str,
    store_url: str,
    postgres: EmbeddedPostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    engines = FakeEngines()
    engines.install(monkeypatch)
    room = Newsroom(Settings.load(database_url=database_url, store_url=store_url), engines)
    yield Site(room, postgres, tmp_path)
    postgres.drop("news_restored")


def of_the_same_time(site: Site) -> None:
    shutil.rmtree(site.store)
    shutil.copytree(site.folder / "yesterday", site.store)


def of_today(site: Site) -> None:
    pass


@pytest.mark.parametrize("put_back", [of_the_same_time, of_today], ids=lambda each: each.__name__)
def test_every_promise_holds_after_a_restore(site: Site, put_back: Callable[[Site], None]) -> None:
    lost = site.room.value("SELECT max(publication_id) FROM rerank.publication")
    put_back(site)
    room = site.restore()
    kept = room.value("SELECT max(publication_id) FROM rerank.publication")
    assert json_pages.is_up_to_date(room.database, room.resources.store, "news")
    finding = check_page_file(room.settings)
    assert finding is not None
    assert finding.state == "ok"
    assert room.run("hour 1")["publish"]["rows_sha256"] == site.rows
    site.bring_source(room)
    counts = room.run("hour 4")
    assert counts["extract"]["claimed"] == 3  # two new ones and the edited one, once each
    assert room.run("hour 5")["extract"]["claimed"] == 0
    assert site.judge(room) == []
    assert (
        room.value("SELECT count(*) FROM rerank.document WHERE text LIKE '%solar 2%'") == 1
    )  # the dump brought it back
    forget(room)
    assert room.value("SELECT count(*) FROM rerank.document WHERE text LIKE '%solar 2%'") == 0
    assert first_after(room, kept) > lost
    assert sorted(row.article_id for row in room.ranking()) == ["solar 1", "solar 3", "tide 1", "tide 2"]


def test_control_without_the_last_step_a_number_comes_twice(site: Site) -> None:
    lost = site.room.value("SELECT max(publication_id) FROM rerank.publication")
    room = site.restore(finish=False)
    kept = room.value("SELECT max(publication_id) FROM rerank.publication")
    site.bring_source(room)
    room.run("hour 3")
    assert first_after(room, kept) <= lost


def test_control_a_store_older_than_the_dump_is_told(site: Site) -> None:
    room = site.restore()
    for file in site.store.rglob("*.parquet"):
        file.unlink()
    done = restored.finish(database=room.database, store=room.resources.store, settings=room.settings)
    assert done.without_file == ("news",)
    finding = check_page_file(room.settings)
    assert finding is not None
    assert finding.state == "fail"
    assert "not the one that the page was written to" in finding.found
