"""Claims under fire: skewed clocks, both daylight-saving nights, kills, and a source that changes under the reader."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from factories import Newsroom, statement_replaced
from sqlalchemy import text

from rerank_core.cli import main
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.errors import InputError, SourceError
from rerank_core.operations.claim import claim_late
from rerank_core.storage import database as db
from rerank_core.storage import source
from rerank_core.storage.database import Database

TABLE = (
    "CREATE TABLE story (id text PRIMARY KEY, body text, changed bigint DEFAULT 1,"
    " created timestamptz DEFAULT now() - interval '1 hour', local timestamp)"
)
VIEW = (
    "CREATE VIEW feed AS SELECT id AS article_id, changed::text AS version, {created} AS ingested_at, NULL::text AS url,"
    " 'solar ' || id AS title, NULL::text AS summary, body, 'en'::text AS lang, NULL::text AS source,"
    " NULL::timestamptz AS published_at FROM story"
)
BUCKETS = ("claimed", "unchanged", "too_late", "later", "forgotten", "invalid")


class Wire:
    """A table of stories, here or in another database, and a newsroom that claims from it."""

    def __init__(self, room: Newsroom, url: str | None, *, created: str = "created") -> None:
        self.database = room.database if url is None else Database(url)
        self.write(TABLE)
        self.write(VIEW.format(created=created))
        self.room = room.tuned(source_view="feed", source_url=url)

    def write(self, statement: str, **values: Any) -> None:
        with self.database.transaction() as connection:
            connection.execute(text(statement), values)

    def put(self, *ids: str, body: str = "old", created: datetime | None = None) -> None:
        for story in ids:
            self.write(
                "INSERT INTO story (id, body, created)"
                " VALUES (:id, :body, COALESCE(:created, now() - interval '1 hour'))",
                id=story,
                body=body,
                created=created,
            )

    def edit(self, story: str, body: str) -> None:
        self.write("UPDATE story SET body = :body, changed = changed + 1 WHERE id = :id", id=story, body=body)

    def claim(self, key: str | None = None, **options: Any) -> dict[str, int]:
        """The buckets of one run's claim that are not empty."""
        found = self.room.stage("extract", self.room.open(key or str(uuid4()), **options))
        assert found["sighted"] == sum(found[name] for name in BUCKETS)
        return {name: found[name] for name in BUCKETS if found[name]}

    def revisions(self) -> list[tuple[str, int, str]]:
        """(article, number, body) of every revision; a revision without its text is not among them."""
        return [
            tuple(row)
            for row in self.room.sql(
                "SELECT article_id, number, body FROM rerank.revision JOIN rerank.revision_text USING (revision_id)"
                " ORDER BY article_id, number"
            )
        ]


@pytest.fixture
def elsewhere(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Another database, without any of our tables."""
    yield postgres.create("elsewhere")
    postgres.drop("elsewhere")


@pytest.fixture(params=["here", "elsewhere"])
def wire(request: pytest.FixtureRequest, room: Newsroom, elsewhere: str) -> Wire:
    return Wire(room, None if request.param == "here" else elsewhere)


@pytest.fixture
def far_wire(room: Newsroom, elsewhere: str) -> Wire:
    return Wire(room, elsewhere)


def test_a_story_that_goes_from_a_to_b_and_back_is_three_revisions(wire: Wire) -> None:
    wire.put("a", body="A")
    wire.claim()
    for body in ("B", "A"):
        wire.edit("a", body)
        assert wire.claim() == {"claimed": 1}
    assert wire.revisions() == [("a", 1, "A"), ("a", 2, "B"), ("a", 3, "A")]
    assert wire.claim() == {"unchanged": 1}


def test_claims_at_the_same_time_lose_and_double_nothing_while_stories_come_and_change(wire: Wire) -> None:
    rounds, claimers = 4, 3
    done = threading.Event()

    def write() -> None:
        for number in range(rounds):
            wire.put(*(f"{number}.{story}" for story in range(5)))
            if number:
                wire.edit(f"{number - 1}.0", f"edited in round {number}")
        done.set()

    def claim_until_done() -> int:
        taken = 0
        while True:
            last = done.is_set()
            taken += wire.claim().get("claimed", 0)
            if last:
                return taken

    with ThreadPoolExecutor(claimers + 1) as threads:
        writer = threads.submit(write)
        takers = [threads.submit(claim_until_done) for _ in range(claimers)]
        writer.result()
        taken = sum(taker.result() for taker in takers)
    claimed = wire.room.sql("SELECT article_id, number, version, run_id FROM rerank.revision")
    assert taken == len(claimed)
    assert max(Counter((row.article_id, row.version) for row in claimed).values()) == 1
    # Numbers follow versions: nobody claimed an older version after a newer one.
    assert sorted((row.article_id, row.number) for row in claimed) == [
        (row.article_id, row.number)
        for row in sorted(claimed, key=lambda row: (row.article_id, int(row.version)))
    ]
    latest = {article: body for article, _, body in wire.revisions()}
    assert len(latest) == rounds * 5
    assert {latest[f"{number}.0"] for number in range(rounds - 1)} == {
        f"edited in round {number + 1}" for number in range(rounds - 1)
    }


class TestClocks:
    """The database's clock cuts the windows, whatever the source's clock says."""

    @pytest.mark.parametrize("ahead_minutes", [-200, -7, 7, 200])
    def test_a_source_whose_clock_is_wrong_loses_and_doubles_nothing(
        self, wire: Wire, ahead_minutes: int
    ) -> None:
        hours = [wire.room.ago(hours=hour) for hour in range(12, 0, -1)]
        taken = later = 0
        for number, hour in enumerate(hours[:6]):
            wire.put(str(number), created=hour - timedelta(minutes=5) + timedelta(minutes=ahead_minutes))
            found = wire.claim(until=hour)
            taken += found.get("claimed", 0)
            later += found.get("later", 0)
        assert (later > 0) == (ahead_minutes > 5)
        for hour in hours[6:]:
            taken += wire.claim(until=hour).get("claimed", 0)
        assert taken == 6
        assert [revision[:2] for revision in wire.revisions()] == [(str(number), 1) for number in range(6)]

    @pytest.mark.parametrize("night", [datetime(2025, 3, 30, tzinfo=UTC), datetime(2025, 10, 26, tzinfo=UTC)])
    def test_the_hours_at_which_summer_time_begins_and_ends_lose_and_double_nothing(
        self, room: Newsroom, night: datetime
    ) -> None:
        wire, zone = Wire(room, None, created="local AT TIME ZONE 'Europe/Berlin'"), ZoneInfo("Europe/Berlin")
        taken, watermark, seen = 0, datetime(1, 1, 1), set()  # noqa: DTZ001
        for quarter in range(-8, 24):
            moment = night + timedelta(minutes=15 * quarter)
            wall = (moment + timedelta(minutes=5)).astimezone(zone).replace(tzinfo=None)
            wire.write("INSERT INTO story (id, local) VALUES (:id, :wall)", id=str(quarter), wall=wall)
            if quarter % 4 == 3:
                taken += wire.claim(until=moment + timedelta(minutes=15)).get("claimed", 0)
                # The control: what a watermark on the wall clock would have read.
                found = room.sql("SELECT id, local FROM story WHERE local > :watermark", watermark=watermark)
                seen |= {row.id for row in found}
                watermark = max([watermark, *(row.local for row in found)])
        taken += wire.claim(until=night + timedelta(hours=8)).get("claimed", 0)
        assert taken == 32
        assert {revision[0] for revision in wire.revisions()} == {str(quarter) for quarter in range(-8, 24)}
        assert (len(seen) < 32) == (night.month == 10)


class TestSnapshot:
    """From another database: one snapshot, and exactly its rows are claimed."""

    def changing(self, wire: Wire, monkeypatch: pytest.MonkeyPatch, *, torn: bool) -> None:
        """The source changes once its keys are read; `torn`: the bodies come from another snapshot."""
        copy_out, changed = source.copy_out, threading.Event()

        def and_then_change(connection: Any, name: str, *arguments: Any, **values: Any) -> Any:
            found = copy_out(connection, name, *arguments, **values)
            if name == "source.keys" and not changed.is_set():
                changed.set()
                wire.edit("edited", "new")
                wire.write("DELETE FROM story WHERE id = 'deleted'")
                wire.put("added", body="new")
                if torn:
                    connection.connection.commit()
            return found

        monkeypatch.setattr(source, "copy_out", and_then_change)
        wire.put("deleted", "edited", "same")

    def test_what_changes_between_snapshot_and_claim_stays_for_the_next_run(
        self, far_wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.changing(far_wire, monkeypatch, torn=False)
        assert far_wire.claim() == {"claimed": 3}
        assert far_wire.revisions() == [("deleted", 1, "old"), ("edited", 1, "old"), ("same", 1, "old")]
        assert far_wire.claim() == {"claimed": 2, "unchanged": 1}
        assert ("added", 1, "new") in far_wire.revisions()
        assert ("edited", 2, "new") in far_wire.revisions()

    def test_control_two_snapshots_do_not_add_up(
        self, far_wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.changing(far_wire, monkeypatch, torn=True)
        with pytest.raises(SourceError, match="the rows do not add up"):
            far_wire.claim()
        assert far_wire.revisions() == []

    def test_the_source_is_let_go_before_the_claim_which_may_take_long(
        self, far_wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = db.one
        monkeypatch.setattr(db, "IDLE_TIMEOUT", "300ms")

        def slow(connection: Any, name: str, *arguments: Any, **values: Any) -> Any:
            if name == "extract.claim":
                connection.exec_driver_sql("SELECT pg_sleep(0.8)")
            return one(connection, name, *arguments, **values)

        monkeypatch.setattr(db, "one", slow)
        far_wire.put("a")
        assert far_wire.claim() == {"claimed": 1}

    def overtaken(self, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
        """A claim has taken its snapshot; the story is edited; another run claims before the first one goes on."""
        copy_out, has_snapshot, go_on = source.copy_out, threading.Event(), threading.Event()

        def and_then_wait(connection: Any, name: str, *arguments: Any, **values: Any) -> Any:
            found = copy_out(connection, name, *arguments, **values)
            if name == "source.keys" and not has_snapshot.is_set():
                has_snapshot.set()
                assert go_on.wait(30)
            return found

        monkeypatch.setattr(source, "copy_out", and_then_wait)
        wire.put("a")
        blocked = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        )
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(wire.claim)
            assert has_snapshot.wait(30)
            wire.edit("a", "new")
            second = threads.submit(wire.claim)
            while not second.done() and not wire.room.value(blocked):
                sleep(0.01)
            go_on.set()
            assert first.result() == second.result() == {"claimed": 1}

    def test_a_claim_from_a_newer_snapshot_waits_for_one_from_an_older(
        self, far_wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.overtaken(far_wire, monkeypatch)
        assert far_wire.revisions() == [("a", 1, "old"), ("a", 2, "new")]

    def test_control_without_the_lock_the_older_version_is_claimed_last(
        self, far_wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        statement_replaced(monkeypatch, "runs.lock_claims", "SELECT CAST(:pipeline AS text)")
        self.overtaken(far_wire, monkeypatch)
        assert far_wire.revisions() == [("a", 1, "new"), ("a", 2, "old")]


# A process that claims, and kills itself right after one of its steps.
DYING = """
import os, signal, sys
from rerank_core import pipeline
from rerank_core.settings import Settings
from rerank_core.storage import database, source
run_id, step, torn = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "torn"
read = database.statement

def statement(name, relations=()):
    made = read(name, relations)
    if torn and name == "extract.claim":
        before, _, rest = made.text.partition("INSERT INTO rerank.revision_text")
        made = database.text(before + "SELECT revision_id FROM changed" + rest[rest.index(")\\nSELECT"):])
    return made

def dying(perform):
    def performed(connection, name, *arguments, **values):
        found = perform(connection, name, *arguments, **values)
        if name == step:
            if torn:
                connection.connection.commit()
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return performed

database.statement, database.one, source.copy_in = statement, dying(database.one), dying(source.copy_in)
pipeline.run_stage("extract", resources=pipeline.Resources.of(Settings.load()), run_id=run_id)
"""


class TestKill:
    """SIGKILL of the process that claims."""

    def killed(self, wire: Wire, step: str, *, torn: bool = False) -> None:
        wire.put("a", "b", body="the text")
        settings = wire.room.settings
        environment = {
            **os.environ,
            "RERANK_DATABASE_URL": settings.database_url,
            "RERANK_STORE_URL": settings.store_url,
            "RERANK_SOURCE_VIEW": settings.source_view,
        }
        if settings.source_url:
            environment["RERANK_SOURCE_URL"] = settings.source_url
        run = wire.room.open("killed")
        done = subprocess.run(
            [sys.executable, "-c", DYING, str(run.run_id), step, "torn" if torn else "whole"],
            env=environment,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        assert done.returncode == -signal.SIGKILL, done.stderr

    @pytest.mark.parametrize("step", ["pg_temp.source_key", "pg_temp.source_row", "extract.claim"])
    def test_between_snapshot_and_claim_and_commit_loses_no_text(self, far_wire: Wire, step: str) -> None:
        self.killed(far_wire, step)
        assert far_wire.revisions() == []
        assert far_wire.claim("next") == {"claimed": 2}
        assert far_wire.revisions() == [("a", 1, "the text"), ("b", 1, "the text")]
        assert far_wire.claim("killed") == {"unchanged": 2}

    def test_between_claim_and_commit_loses_no_text_of_the_own_database(self, room: Newsroom) -> None:
        wire = Wire(room, None)
        self.killed(wire, "extract.claim")
        assert wire.claim("killed") == {"claimed": 2}
        assert wire.revisions() == [("a", 1, "the text"), ("b", 1, "the text")]

    def test_control_a_claim_that_commits_before_its_texts_loses_them(self, room: Newsroom) -> None:
        wire = Wire(room, None)
        self.killed(wire, "extract.claim", torn=True)
        assert wire.claim("next") == {"unchanged": 2}
        assert wire.revisions() == []


class TestLate:
    """What came before the lookback is counted by every run, and taken when it is asked for."""

    @pytest.fixture
    def late(self, room: Newsroom) -> Newsroom:
        room = room.tuned(lookback_days=0.5)
        room.follow("solar")
        room.add("solar new")
        room.add("solar late", ingested_at=room.ago(hours=20))
        room.add("solar stale", ingested_at=room.ago(days=9))
        assert room.run("before")["extract"]["too_late"] == 2
        assert room.page() == ["solar new"]
        return room

    def test_late_articles_are_claimed_once_and_ranked_by_the_next_run_where_they_are_fresh(
        self, late: Newsroom
    ) -> None:
        done = claim_late(late.resources, since=late.ago(days=10))
        assert (done.counts.claimed, done.counts.unchanged, done.counts.too_late, done.fresh) == (2, 1, 0, 1)
        found = late.run("after")
        assert (found["extract"]["claimed"], found["extract"]["unchanged"]) == (0, 3)
        assert set(late.page()) == {"solar new", "solar late"}
        owners = late.sql("SELECT article_id, run_id, document_id FROM rerank.revision")
        assert {row.article_id: row.run_id for row in owners if row.article_id != "solar new"} == {
            "solar late": done.run.run_id,
            "solar stale": done.run.run_id,
        }
        assert all(row.document_id for row in owners)  # prepared, the stale one too
        assert len(owners) == 3

    def test_a_late_claim_takes_nothing_outside_its_span(self, late: Newsroom) -> None:
        done = claim_late(late.resources, since=late.ago(days=1), until=late.ago(hours=15))
        assert (done.counts.claimed, done.counts.too_late, done.counts.later) == (1, 1, 1)
        assert done.run.window.since == late.ago(days=1)

    def test_a_late_claim_is_never_the_page(self, late: Newsroom) -> None:
        page = late.standing().run_id
        claim_late(late.resources, since=late.ago(days=10))
        assert late.standing().run_id == page
        state = late.sql(
            "SELECT published_at, opened_by, claimed FROM rerank.run WHERE key LIKE 'claim\\_\\_%'"
        )
        assert [tuple(row) for row in state] == [(None, "postgres", 2)]

    @pytest.mark.parametrize(
        ("since", "until", "message"),
        [
            (-1.0, None, "is not before until"),
            (5.0, 6.0, "is not before until"),
        ],
    )
    def test_a_span_that_is_none_is_refused(
        self, late: Newsroom, since: float, until: float | None, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            claim_late(
                late.resources,
                since=late.ago(hours=since),
                until=None if until is None else late.ago(hours=until),
            )
        assert late.value("SELECT count(*) FROM rerank.run") == 1

    def test_a_time_without_an_offset_is_refused(self, late: Newsroom) -> None:
        with pytest.raises(InputError, match="since 2026-03-01T00:00:00 has no UTC offset"):
            claim_late(late.resources, since=datetime(2026, 3, 1))  # noqa: DTZ001

    def test_the_command_says_what_it_did(
        self, late: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("RERANK_DATABASE_URL", late.settings.database_url)
        monkeypatch.setenv("RERANK_STORE_URL", late.settings.store_url)
        with pytest.raises(SystemExit) as ended:
            main(["claim", "--since", late.ago(days=10).isoformat()])
        said = " ".join(capsys.readouterr().out.split())
        assert ended.value.code in (0, None)
        assert "claimed 2 unchanged 1 too late 0" in said
        assert "the next run prepares what was claimed, and ranks the 1 of these articles" in said
