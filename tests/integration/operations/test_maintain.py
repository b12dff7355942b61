"""The clean-up deletes what is past its time, and nothing that the page, a reader or a running try needs."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from factories import Newsroom, statement_replaced
from sqlalchemy.exc import OperationalError

from rerank_core import pipeline
from rerank_core.cli import main
from rerank_core.errors import CorruptError, FencedError, StoreUnavailable
from rerank_core.frontends import json_pages
from rerank_core.operations import maintain, removal
from rerank_core.operations.maintain import Maintained
from rerank_core.publish import publish
from rerank_core.records import Run
from rerank_core.settings import settings as current_settings
from rerank_core.storage import runs
from rerank_core.storage.database import Database, sql_folder
from rerank_core.storage.store import Store

TIMES = {
    "article": ("ingested_at",),
    "claim": ("first_ingested_at",),
    "pointer": ("moved_at",),
    "pointer_move": ("moved_at",),
    "publication": ("as_of", "published_at"),
    "ranking": ("first_ingested_at",),
    "revision": ("ingested_at", "first_ingested_at"),
    "run": (
        "since",
        "fresh_since",
        "until",
        "created_at",
        "claimed_at",
        "prepared_at",
        "frozen_at",
        "published_at",
    ),
    "store_removal": ("due_at", "requested_at"),
}


def clean(room: Newsroom, **options: Any) -> Maintained:
    return maintain.maintain(
        database=room.database, store=room.resources.store, settings=room.settings, **options
    )


def root(room: Newsroom) -> Path:
    return Path(room.resources.store.full_path(""))


def files(room: Newsroom) -> set[str]:
    return {file.path for file in room.resources.store.files("")}


def pass_days(room: Newsroom, days: float) -> None:
    """Everything that is there happened so many days earlier."""
    latest = json_pages.read_latest(room.resources.store, "news")
    was_right = latest is not None and json_pages.stands(room.database, room.resources.store, "news")
    changes = ["ALTER TABLE rerank.article DISABLE TRIGGER USER"]  # an edit would be a new version
    for table, names in TIMES.items():
        earlier = ", ".join(f"{name} = {name} - make_interval(secs => {days * 86_400})" for name in names)
        changes.append(f"UPDATE rerank.{table} SET {earlier}")
    changes.append("ALTER TABLE rerank.article ENABLE TRIGGER USER")
    with room.database.transaction() as connection:
        connection.exec_driver_sql(";".join(changes))
    if latest is not None and was_right:
        page = json_pages.current(room.database, "news")
        assert page is not None
        file, stood = root(room) / "news/latest.json", (root(room) / "news/latest.json").stat().st_mtime
        file.write_bytes(json_pages.to_json({**latest, "content": page["content"]}))
        os.utime(file, (stood, stood))
    for path in files(room):
        stood = (root(room) / path).stat().st_mtime
        os.utime(root(room) / path, (time.time(), stood - days * 86_400))


def is_whole(room: Newsroom) -> bool:
    """Whether the page is there: in the view, as Parquet, as what its run was made from, and as JSON."""
    standing = room.standing()
    store = room.resources.store
    rows = pq.read_table(store.full_path(standing.parquet_path)).num_rows
    with room.database.transaction(read_only=True) as connection:
        run = runs.get(connection, standing.run_id)
    latest = json_pages.read_latest(store, "news")
    assert latest is not None
    return (
        rows == room.value("SELECT count(*) FROM rerank.current_ranking") > 0
        and {str(run.members_path), str(run.pairs_path), *json_pages.paths(latest)} <= files(room)
        and latest["publication_id"] == standing.publication_id
    )


@pytest.fixture
def two_pages(room: Newsroom) -> Newsroom:
    """A page of a hundred days ago, and one of ten days ago that frontends have seen since."""
    room.follow("solar")
    room.add("solar old")
    room.run("old")
    pass_days(room, 90)
    room.add("solar new")
    room.run("new")
    pass_days(room, 10)
    return room


def test_what_is_not_past_its_time_stays(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    room.run()
    before = files(room)
    found = clean(room)
    assert files(room) == before
    assert (found.files, found.files_named) == (len(before), len(before)) == (5, 5)
    assert (found.publications, found.publications_kept) == (1, 1)
    assert (found.months, found.months_kept) == (1, 1)
    assert not found.repaired
    deleted = [
        name for name in vars(found) if name.endswith(("_deleted", "_removed", "_emptied", "_dropped"))
    ]
    assert {vars(found)[name] for name in deleted} == {0}


def test_a_page_past_retention_goes_with_its_rows_and_its_files_follow_after_the_grace_period(
    two_pages: Newsroom,
) -> None:
    room = two_pages
    old = room.sql("SELECT parquet_path, publication_id FROM rerank.publication ORDER BY 2")[0]
    artifacts = room.sql("SELECT members_path, pairs_path FROM rerank.run WHERE key = 'old'")[0]
    found = clean(room)
    assert (found.publications_deleted, found.publications_kept, found.runs_emptied) == (1, 1, 1)
    assert (found.revisions_deleted, found.documents_deleted) == (1, 1)
    assert room.value("SELECT count(*) FROM rerank.ranking WHERE publication_id = :p", p=old[1]) == 0
    assert (
        room.value(
            "SELECT count(*) FROM rerank.run_metric m JOIN rerank.run USING (run_id) WHERE key = 'old'"
        )
        == 0
    )
    assert {old[0], *artifacts} <= files(room)  # a reader may hold their paths
    pass_days(room, 1.1)
    found = clean(room)
    assert found.files_removed == 3
    assert found.bytes_removed > 0
    assert files(room).isdisjoint({old[0], *artifacts})
    assert is_whole(room)
    assert clean(room).files_removed == 0


def test_a_run_past_retention_says_so_and_keeps_its_key(two_pages: Newsroom) -> None:
    clean(two_pages)
    run = two_pages.open("old")
    for stage in ("recall", "publish"):
        with pytest.raises(CorruptError, match=r"run \d+ \(old\) is past retention: .* start a new run"):
            two_pages.stage(stage, run)
    assert two_pages.value("SELECT count(*) FROM rerank.run WHERE key = 'old'") == 1


def test_an_article_past_retention_is_not_claimed_again_and_an_edit_of_it_is(two_pages: Newsroom) -> None:
    room = two_pages.tuned(lookback_days=1_000, gate_empty_share=1.0)
    clean(room)
    assert room.run()["extract"]["claimed"] == 0
    room.edit("solar old", title="solar edited")
    assert room.run()["extract"]["claimed"] == 1
    assert room.value("SELECT max(number) FROM rerank.revision WHERE article_id = 'solar old'") == 2


def test_a_revision_that_a_kept_run_can_rank_stays_though_its_own_run_is_gone(room: Newsroom) -> None:
    wide = room.tuned(freshness_hours=24 * 365, lookback_days=300)
    wide.follow("solar")
    wide.add("solar old")
    wide.run("old")
    pass_days(wide, 90)
    wide.add("solar new")
    wide.run("new")
    pass_days(wide, 10)
    before = wide.run("new")["publish"]["rows_sha256"]
    found = clean(wide)
    assert (found.publications_deleted, found.revisions_deleted, found.documents_deleted) == (1, 0, 0)
    assert wide.run("new")["publish"]["rows_sha256"] == before
    assert sorted(wide.page()) == ["solar new", "solar old"]


class TestPage:
    """The page stays, however old it is."""

    def old_page(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run("k")
        pass_days(room, 400)

    def test_the_page_of_a_pipeline_that_stands_still_stays(self, room: Newsroom) -> None:
        self.old_page(room)
        for _ in range(2):
            assert clean(room).publications_kept == 1
            assert is_whole(room)
        assert room.run("k")["publish"]["rows"] == 1

    def test_control_a_clean_up_that_ignores_the_pointer_is_stopped_by_it(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.old_page(room)
        every = "SELECT publication_id, run_id, version, parquet_path, row_count FROM rerank.publication"
        statement_replaced(monkeypatch, "maintain.publications", every)
        with pytest.raises(OperationalError, match="is a page"):
            clean(room)
        assert is_whole(room)

    def list_all(self, room: Newsroom) -> None:
        room.sql(
            "INSERT INTO rerank.store_removal (path, due_at, reason)"
            " SELECT unnest(ARRAY[parquet_path, members_path, pairs_path]), now() - interval '1 day', 'by mistake'"
            " FROM rerank.publication JOIN rerank.run USING (run_id)"
        )
        latest = json_pages.read_latest(room.resources.store, "news")
        assert latest is not None
        room.sql(
            "INSERT INTO rerank.store_removal VALUES (:p, now() - interval '1 day', 'by mistake')",
            p=latest["pages"],
        )

    def test_files_of_the_page_that_are_due_are_held(self, room: Newsroom) -> None:
        self.old_page(room)
        self.list_all(room)
        assert clean(room).files_held == 4
        assert is_whole(room)

    def test_control_without_asking_the_pointer_they_are_gone(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.old_page(room)
        self.list_all(room)
        statement_replaced(monkeypatch, "maintain.needed", "SELECT '' AS path WHERE :pipeline IS NULL")
        clean(room)
        with pytest.raises(FileNotFoundError):
            is_whole(room)

    def test_a_rollback_and_what_its_release_goes_to_both_stay(self, two_pages: Newsroom) -> None:
        room = two_pages
        room.sql(
            "UPDATE rerank.pointer SET held = true, publication_id = (SELECT min(publication_id) FROM rerank.publication)"
        )
        pass_days(room, 400)
        found = clean(room)
        assert (found.publications_kept, found.repaired) == (2, True)
        pass_days(room, 2)
        clean(room)
        assert is_whole(room)
        room.sql(
            "UPDATE rerank.pointer SET held = false, publication_id = (SELECT max(publication_id) FROM rerank.publication)"
        )
        clean(room)
        assert is_whole(room)


class TestReaders:
    """Whoever has read a path keeps the file for the grace period, however old it is."""

    def read_paths(self, room: Newsroom) -> list[str]:
        """What a reader holds: a page that stood for a hundred days; then a newer one takes its place."""
        room.follow("solar")
        room.add("solar 1")
        room.run()
        pass_days(room, 100)
        latest = json_pages.read_latest(room.resources.store, "news")
        assert latest is not None
        held = [latest["parquet_path"], *json_pages.paths(latest)]
        room.add("solar 2")
        room.run()
        return held

    def test_a_reader_within_the_grace_period_keeps_its_files(self, room: Newsroom) -> None:
        held = self.read_paths(room)
        for _ in range(3):
            clean(room)
            assert set(held) <= files(room)
        for _ in range(3):
            pass_days(room, 1.1)
            clean(room)
        assert set(held).isdisjoint(files(room))
        assert is_whole(room)

    def test_control_without_a_grace_period_it_loses_them(self, room: Newsroom) -> None:
        hasty = room.tuned(store_grace_hours=1e-9)
        held = self.read_paths(hasty)
        room.sql("UPDATE rerank.pointer_move SET moved_at = moved_at - interval '25 hours'")
        clean(hasty)
        assert set(held).isdisjoint(files(room))

    def test_rows_of_a_page_stay_readable_for_a_day_after_it_however_short_the_grace_period(
        self, room: Newsroom
    ) -> None:
        hasty = room.tuned(store_grace_hours=1e-9)
        self.read_paths(hasty)
        pages_of = "SELECT count(DISTINCT publication_id) FROM rerank.recent_ranking"
        pass_days(room, 0.9)
        assert clean(hasty).publications_kept == 2
        assert room.value(pages_of) == 2
        pass_days(room, 0.2)
        assert clean(hasty).publications_deleted == 1
        assert room.value(pages_of) == 1

    def test_pages_that_nothing_lists_are_kept_from_when_that_is_found(self, room: Newsroom) -> None:
        held = self.read_paths(room)
        room.sql("DELETE FROM rerank.store_removal")  # as after a kill between latest.json and the commit
        pass_days(room, 5)
        assert clean(room).files_waiting >= 1
        assert set(held[1:]) <= files(room)
        pass_days(room, 1.1)
        clean(room)
        assert set(held[1:]).isdisjoint(files(room))


class TestOrphans:
    """A file that no row names goes when its try can name it no more."""

    def stopped_try(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, int, str]:
        """A try that stops between its file and its commit; returns run, fence and path."""
        room.follow("solar")
        room.add("solar 1")
        run = room.until("publish", "k")
        with room.database.transaction() as connection:
            fence = runs.take_fence(connection, run.run_id)
        before = files(room)

        def stop(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(runs, "hold_fence", stop)
            with pytest.raises(KeyboardInterrupt):
                self.publish(room, run, fence)
        (path,) = files(room) - before
        return run, fence, path

    def publish(self, room: Newsroom, run: Run, fence: int) -> publish.Published:
        return publish.publish(
            database=room.database, store=room.resources.store, settings=room.settings, run=run, fence=fence
        )

    def test_a_young_one_stays_for_its_try_may_still_commit(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, fence, path = self.stopped_try(room, monkeypatch)
        pass_days(room, 0.9)
        assert clean(room).files_young == 1
        assert path in files(room)
        self.publish(room, run, fence)  # no FencedError
        assert room.standing().version == 1

    def test_an_old_one_goes_and_its_try_commits_nothing_any_more(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, fence, path = self.stopped_try(room, monkeypatch)
        pass_days(room, 1.1)
        assert clean(room).files_removed == 1
        assert path not in files(room)
        with pytest.raises(FencedError):
            self.publish(room, run, fence)
        room.stage("publish", run)
        assert room.page() == ["solar 1"]

    def test_control_without_the_fence_the_try_names_a_file_that_is_gone(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, fence, path = self.stopped_try(room, monkeypatch)
        pass_days(room, 1.1)
        with monkeypatch.context() as patch:
            patch.setattr(maintain.db, "one", self.without_fence(maintain.db.one))
            clean(room)
        # It wakes up with the path of the file that it wrote.
        monkeypatch.setattr(Store, "ranking_path", lambda *_, **__: path)
        written = Store.write
        monkeypatch.setattr(
            Store,
            "write",
            lambda self, at, table: written(Store(f"{room.settings.store_url}-other"), at, table),
        )
        self.publish(room, run, fence)
        assert room.standing().parquet_path == path
        assert path not in files(room)

    def without_fence(self, one: Any) -> Any:
        return lambda connection, name, *rest, **values: (
            None if name == "runs.take_fence" else one(connection, name, *rest, **values)
        )

    def test_the_fence_of_a_run_whose_latest_try_has_committed_is_left_alone(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run("k")
        run = room.open("k")
        path = room.resources.store.light_path(pipeline="news", run_id=run.run_id, fence=1)
        room.resources.store.write_json(path, b"")
        pass_days(room, 2)
        assert clean(room).files_removed == 1
        assert room.open("k").fence == run.fence

    def test_drafts_go_and_files_of_others_stay(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run("k")
        run_id = room.open("k").run_id
        foreign = {
            "news/notes.txt",
            "news/runs/99999/pairs-1-ab.parquet",
            f"news/runs/{run_id}/pairs-999-ab.parquet",
            "other/latest.json",
        }
        drafts = {f"news/runs/{run_id}/.pairs-1.parquet.ab12.tmp", "news/.latest.json.ab12.tmp"}
        for path in foreign | drafts:
            room.resources.store.write_json(path, b"x")
        assert clean(room).files_young == 4
        pass_days(room, 2)
        found = clean(room)
        assert (found.files_foreign, found.files_removed, found.bytes_removed) == (3, 2, 2)
        assert foreign <= files(room)
        assert drafts.isdisjoint(files(room))


class TestTexts:
    def test_raw_text_goes_by_its_own_time_and_the_rest_stays(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1", "…")  # one is prepared, one in quarantine
        before = room.run("k")["publish"]["rows_sha256"]
        room.sql("UPDATE rerank.run SET claimed_at = claimed_at - interval '29 days'")
        assert clean(room).texts_deleted == 0
        room.sql("UPDATE rerank.run SET claimed_at = claimed_at - interval '2 days'")
        assert clean(room).texts_deleted == 2
        assert room.value("SELECT count(*) FROM rerank.revision_text") == 0
        assert room.value("SELECT count(*) FROM rerank.document") == 1
        assert room.run("k")["publish"]["rows_sha256"] == before

    def test_text_that_is_not_prepared_yet_stays(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.until("prepare")
        pass_days(room, 60)
        assert clean(room).texts_deleted == 0
        assert room.value("SELECT count(*) FROM rerank.revision_text") == 1

    def test_a_text_that_another_revision_has_stays(self, two_pages: Newsroom) -> None:
        two_pages.add("again", title="solar old")
        two_pages.run()
        assert clean(two_pages).documents_deleted == 0
        assert "again" in two_pages.page()


class TestLedger:
    @pytest.fixture
    def aged(self, room: Newsroom) -> Newsroom:
        """Scores of eight months ago."""
        room.follow("solar")
        room.add("solar 1")
        room.run("k")
        pass_days(room, 245)
        month = "date_trunc('month', now() - interval '8 months')::date"
        room.sql(f"SELECT rerank.ensure_month({month})")
        room.sql(f"UPDATE rerank.pair_score SET month = {month}")
        room.sql(f"UPDATE rerank.document SET month = {month}")
        return room

    def months(self, room: Newsroom) -> int:
        count: int = room.value(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'rerank.pair_score'::regclass"
        )
        return count

    def test_a_month_past_retention_is_dropped(self, aged: Newsroom) -> None:
        months = self.months(aged)
        assert clean(aged.tuned(ledger_retention_months=9)).months_dropped == 0
        found = clean(aged)
        assert (found.months, found.months_dropped) == (months, 1)
        assert self.months(aged) == months - 1
        assert is_whole(aged)

    def test_a_month_that_a_fresh_article_has_its_scores_in_is_not(self, aged: Newsroom) -> None:
        aged.add("again", title="solar 1")
        aged.run("again")
        assert clean(aged).months_needed == 1
        assert aged.value("SELECT count(*) FROM rerank.pair_score") == 1

    def test_a_month_that_another_pipelines_longer_window_reaches_back_to_is_not(
        self, aged: Newsroom
    ) -> None:
        wide = aged.tuned(pipeline="wide", freshness_hours=24 * 300, lookback_days=365)
        wide.follow("solar")
        wide.run("k")
        pass_days(aged, 2)  # none of its runs is of lately
        assert clean(aged).months_needed == 1
        assert wide.run("next")["publish"]["rows"] == 1

    def test_a_month_that_somebody_reads_waits(self, aged: Newsroom) -> None:
        with aged.database.transaction() as connection:
            connection.exec_driver_sql("LOCK TABLE rerank.pair_score IN ACCESS SHARE MODE")
            assert clean(aged).months_busy == 1
        assert clean(aged).months_dropped == 1

    def test_a_rerun_after_its_month_was_dropped_scores_again_and_says_why(self, aged: Newsroom) -> None:
        clean(aged)
        assert aged.run("k", rescore=False)["publish"]["rows"] == 1


def test_a_forgotten_articles_file_goes_and_the_page_without_it_stays(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2")
    shown = room.run("k")["publish"]["parquet_path"]
    removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id="solar 1",
        reason="r",
    )
    assert clean(room).files_waiting >= 1
    assert shown in files(room)
    pass_days(room, 1.1)
    clean(room)
    assert shown not in files(room)
    assert is_whole(room)
    texts = b"".join((root(room) / path).read_bytes() for path in files(room) if path.endswith(".json"))
    assert b"solar 1" not in texts
    assert b"solar 2" in texts


def test_a_dry_run_changes_nothing_and_counts_what_would_be_done(two_pages: Newsroom) -> None:
    room = two_pages
    for path in ("news/.latest.json.ab12.tmp", f"news/runs/{room.open('old').run_id}/pairs-1-ab.parquet"):
        room.resources.store.write_json(path, b"x")
    pass_days(room, 40)
    before = (files(room), tables(room))
    planned = clean(room, dry_run=True)
    assert (files(room), tables(room)) == before
    done = clean(room)
    # A dry run sees no further than its first step: what that one leaves to the next is not counted.
    assert (planned.publications_deleted, planned.texts_deleted) == (1, done.texts_deleted + 1)
    assert planned.files_removed == done.files_removed == 3  # and the JSON page of before
    assert planned.bytes_removed == done.bytes_removed > 2


def tables(room: Newsroom) -> list[tuple[str, str]]:
    """A digest of every table's rows; those of `turn` stand for locks."""
    names = room.sql(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'rerank' AND tablename <> 'turn' ORDER BY 1"
    )
    return [
        (
            name,
            room.value(
                f"SELECT md5(COALESCE(string_agg(t::text, '|' ORDER BY t::text), '')) FROM rerank.{name} t"
            ),
        )
        for (name,) in names
    ]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_clean_up_that_is_killed_is_finished_by_the_next_one(
    two_pages: Newsroom, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    room = two_pages
    clean(room)
    pass_days(room, 1.1)
    calls = []

    def killed(self: Store, path: str, *, original: Any) -> bool:
        calls.append(path)
        if len(calls) == at // 2 + 1:
            if at % 2:
                original(self, path)  # the file is gone, and the list says that it is to go
            raise Killed
        return bool(original(self, path))

    with monkeypatch.context() as patch:
        for name in ("remove", "remove_folder"):
            original = getattr(Store, name)
            patch.setattr(
                Store, name, lambda self, path, original=original: killed(self, path, original=original)
            )
        with pytest.raises(Killed):
            clean(room)
    found = clean(room)
    assert found.files == found.files_named + found.files_removed
    assert room.value("SELECT count(*) FROM rerank.store_removal") == 0
    assert is_whole(room)


@pytest.mark.parametrize(
    "step", ["_publications", "_runs", "_revisions", "_documents", "_texts", "_months", "_pages"]
)
def test_a_clean_up_that_is_killed_after_any_step_is_finished_by_the_next_one(
    two_pages: Newsroom, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    room = two_pages
    original = getattr(maintain, step)

    def killed(work: Any) -> None:
        original(work)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(maintain, step, killed)
        with pytest.raises(Killed):
            clean(room)
    for _ in range(2):
        clean(room)
        pass_days(room, 1.1)
    found = clean(room)
    assert (found.files, found.publications) == (found.files_named, 1)
    assert (
        room.value("SELECT count(*) FROM rerank.revision"),
        room.value("SELECT count(*) FROM rerank.document"),
    ) == (1, 1)
    assert is_whole(room)


def test_two_clean_ups_at_once_do_the_work_of_one(two_pages: Newsroom) -> None:
    room = two_pages
    with ThreadPoolExecutor(3) as pool:
        done = [one.result() for one in [pool.submit(clean, room) for _ in range(3)]]
        assert sum(one.publications_deleted for one in done) == 1
        pass_days(room, 1.1)
        done = [one.result() for one in [pool.submit(clean, room) for _ in range(3)]]
    assert room.value("SELECT count(*) FROM rerank.store_removal") == 0
    assert is_whole(room)
    assert clean(room).files == 5


def test_runs_beside_a_clean_up_are_whole(two_pages: Newsroom) -> None:
    room = two_pages.tuned(store_grace_hours=0.001)
    with ThreadPoolExecutor(1) as pool:
        for number in range(4):
            room.add(f"solar {number}")
            cleaning = pool.submit(clean, room)
            results = room.run(f"beside {number}")
            cleaning.result()
            assert results["publish"]["is_current"]
            assert results["publish"]["pages_failed"] == 0
            assert is_whole(room)
    assert len(room.page()) == 4


def test_a_file_that_the_store_refuses_to_remove_is_counted_and_tried_again(
    two_pages: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = two_pages
    clean(room)
    pass_days(room, 1.1)
    remove = Store.remove

    def refused(self: Store, path: str) -> bool:
        if "members" in path:
            raise StoreUnavailable(f"{path}: no; try again")
        return remove(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "remove", refused)
        found = clean(room)
    assert (found.files_failed, found.files_removed) == (1, 2)
    assert clean(room).files_removed == 1


def test_a_store_that_refuses_everything_ends_the_clean_up(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        room.sql(
            "INSERT INTO rerank.store_removal VALUES (:p, now(), 'r')",
            p=f"news/runs/1/pairs-{number}.parquet",
        )
    asked: list[str] = []

    def refused(self: Store, path: str) -> bool:
        asked.append(path)
        raise StoreUnavailable(f"{path}: no; try again")

    monkeypatch.setattr(Store, "remove", refused)
    with pytest.raises(StoreUnavailable):
        clean(room)
    assert len(asked) == maintain.FAILURES
    assert room.value("SELECT count(*) FROM rerank.store_removal") == 9


def test_latest_json_and_its_pages_are_repaired(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    room.run()
    latest = root(room) / "news/latest.json"
    latest.unlink()
    assert clean(room, dry_run=True).repaired
    assert not latest.exists()
    assert clean(room).repaired
    found = json_pages.read_latest(room.resources.store, "news")
    assert found is not None
    (root(room) / json_pages.paths(found)[0]).unlink()
    assert clean(room).repaired
    assert is_whole(room)
    assert not clean(room).repaired


def test_another_pipelines_files_and_publications_are_left_to_its_own_clean_up(two_pages: Newsroom) -> None:
    shadow = two_pages.tuned(pipeline="shadow")
    found = clean(shadow)
    assert (found.publications, found.files, found.revisions_deleted) == (0, 0, 0)
    assert two_pages.value("SELECT count(*) FROM rerank.publication") == 2


def test_every_table_that_refers_to_what_is_deleted_is_deleted_from_first(database_url: str) -> None:
    """A foreign key that a later migration adds would stop the clean-up, unless it cascades."""
    deleted = "('rerank.publication'::regclass, 'rerank.revision'::regclass, 'rerank.document'::regclass)"
    with Database(database_url).transaction(read_only=True) as connection:
        found = connection.exec_driver_sql(
            "SELECT DISTINCT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint"
            f" WHERE contype = 'f' AND confdeltype NOT IN ('c', 'n') AND confrelid IN {deleted} ORDER BY 1"
        ).all()
        drop = "SELECT prosrc FROM pg_proc WHERE proname = 'drop_publication'"
        function = str(connection.exec_driver_sql(drop).scalar())
    queries = (sql_folder() / "queries").glob("maintain_*.sql")
    statements = function + "".join(file.read_text() for file in queries)
    # The pointer is what keeps a publication; a document stays while a revision has it, and hands its cluster over first.
    stops = {
        ("rerank.pointer", "rerank.publication"),
        ("rerank.revision", "rerank.document"),
        ("rerank.near_copy", "rerank.document"),
    }
    assert len(found) >= 7
    for table, of in found:
        assert (table, of) in stops or f"DELETE FROM {table} " in statements, f"{table} refers to {of}"


def test_the_command_prints_what_was_done(
    two_pages: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", two_pages.settings.database_url)
    monkeypatch.setenv("RERANK_STORE_URL", two_pages.settings.store_url)
    for options, title in ((["--dry-run"], "would be"), ([], "clean-up")):
        current_settings.cache_clear()
        with pytest.raises(SystemExit) as ended:
            main(["maintain", *options])
        shown = capsys.readouterr()
        assert ended.value.code in (None, 0)
        assert shown.out.startswith(title)
        numbers = {
            line.rsplit(maxsplit=1)[0]: line.rsplit(maxsplit=1)[-1] for line in shown.out.splitlines()[2:]
        }
        assert numbers["publications deleted"] == "1"
        assert "publications: " in shown.err
    assert two_pages.value("SELECT count(*) FROM rerank.publication") == 1


def test_sums_that_do_not_come_out_are_an_error(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintain, "_months", lambda work: {"months": 2, "months_kept": 1})
    with pytest.raises(CorruptError, match="months do not add up: 2 looked at, 1 counted"):
        clean(room)
    assert pipeline.STAGES  # the order of the stages knows nothing of a clean-up
    assert "maintain" not in pipeline.STAGES
