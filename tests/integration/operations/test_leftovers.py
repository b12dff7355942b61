"""Leftovers: files that no row names are removed, and none that the page, a reader or a running try needs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clean_ups import clean, files, is_whole, pass_days, root
from factories import Newsroom, statement_replaced
from sqlalchemy.exc import IntegrityError

from rerank_core.errors import FencedError, StoreUnavailable
from rerank_core.frontends import json_pages, json_text
from rerank_core.operations import leftovers, removal
from rerank_core.publish import publish
from rerank_core.records import Run
from rerank_core.storage import runs
from rerank_core.storage.store import Store


class TestPage:
    """Files of the page stay, even if a removal of them is due."""

    def old_page(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run("k")
        pass_days(room, 400)

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
        assert clean(room).files_held == 6
        assert is_whole(room)

    def test_control_without_asking_the_pointer_they_are_gone(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.old_page(room)
        self.list_all(room)
        statement_replaced(monkeypatch, "leftovers.needed", "SELECT '' AS path WHERE :pipeline IS NULL")
        clean(room)
        with pytest.raises(FileNotFoundError):
            is_whole(room)


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
            patch.setattr(leftovers.db, "one", self.without_fence(leftovers.db.one))
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


class TestOutside:
    """Nothing goes that the store has not named, whatever the list of removals, latest.json or a link in the store asks for."""

    ASKED = (
        "news/../../victim/",
        "news/../../victim/a.txt",
        "news/../other/latest.json",
        "news/%2e%2e/%2e%2e/victim/",
        "news//runs/",
        "news/",
        "news/runs/",
        "news/pages/",
        "news/latest.json",
        "news/notes.txt",
    )

    @pytest.fixture
    def victim(self, room: Newsroom) -> Iterator[Path]:
        """A folder beside the store; and the database without its own check of paths."""
        folder = root(room).parent / "victim"
        folder.mkdir()
        (folder / "a.txt").touch()
        constraint = room.value(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'rerank.store_removal'::regclass AND contype = 'c'"
        )
        room.sql(f"ALTER TABLE rerank.store_removal DROP CONSTRAINT {constraint}")
        room.follow("solar")
        room.add("solar 1")
        room.run("k")
        room.resources.store.write_json("news/notes.txt", b"x")
        room.resources.store.write_json("other/latest.json", b"x")
        yield folder
        room.sql("DELETE FROM rerank.store_removal")
        room.sql(
            f"ALTER TABLE rerank.store_removal ADD CONSTRAINT {constraint} CHECK (rerank.stays_in_store(path))"
        )

    def ask(self, room: Newsroom, *paths: str) -> None:
        for path in paths:
            room.sql("INSERT INTO rerank.store_removal VALUES (:p, now() - interval '1 day', 'r')", p=path)

    def test_what_the_store_has_not_named_is_refused_and_counted(
        self, room: Newsroom, victim: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = files(room)
        self.ask(room, *self.ASKED)
        found = clean(room)
        assert (found.removals_refused, found.files_removed) == (len(self.ASKED), 0)
        assert "news/../../victim/ is on the list of removals" in caplog.text
        assert (victim / "a.txt").exists()
        assert files(room) == before
        assert is_whole(room)

    def test_control_with_paths_unchecked_the_file_outside_is_gone(
        self, room: Newsroom, victim: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ask(room, "news/../../victim/a.txt")
        monkeypatch.setattr(leftovers, "_sort_out", lambda asked, listing: (dict(asked), []))
        monkeypatch.setattr(Store, "_below", staticmethod(lambda root, path: f"{root}/{path}"))
        clean(room)
        assert not victim.exists()  # with its last file it goes, too

    def test_the_database_takes_no_such_path(self, room: Newsroom) -> None:
        room.follow("solar")
        room.run("k")
        for path in ("news/../../x/", "/etc/x", "news//x", "news/./x", "", "a" * 1001):
            for statement in (
                "INSERT INTO rerank.store_removal VALUES (:p, now(), 'r')",
                "UPDATE rerank.run SET members_path = :p",
                "UPDATE rerank.run SET pairs_path = :p",
                "UPDATE rerank.run SET light_path = :p",
                "UPDATE rerank.publication SET parquet_path = :p",
            ):
                with pytest.raises(IntegrityError, match="violates check constraint"):
                    room.sql(statement, p=path)

    def test_links_in_the_store_are_left_alone_with_what_is_behind_them(
        self, room: Newsroom, victim: Path
    ) -> None:
        run_id = room.open("k").run_id
        (victim / "pairs-0-ab.parquet").touch()
        (victim / "7-ab").mkdir()
        (victim / "7-ab/solar.json").touch()
        news = root(room) / "news"
        (news / "pages/7-ab").symlink_to(victim / "7-ab")
        (news / f"runs/{run_id}/pairs-0-ab.parquet").symlink_to(victim / "pairs-0-ab.parquet")
        self.ask(room, "news/pages/7-ab/", f"news/runs/{run_id}/pairs-0-ab.parquet")
        pass_days(room, 2)
        found = clean(room)
        assert (found.files_foreign, found.files_removed, found.removals_refused) == (3, 0, 1)
        assert sorted(path.name for path in victim.rglob("*.*")) == [
            "a.txt",
            "pairs-0-ab.parquet",
            "solar.json",
        ]
        assert (news / "pages/7-ab").is_symlink()

    @pytest.mark.parametrize(
        "content",
        [
            {"pages": "news/../../victim/", "topics": {}},
            {"pages": "other/pages/1-ab/", "topics": {}},
            {"pages": "news/pages/1-ab/", "topics": {"solar": {"page": "news/../../victim/a.txt"}}},
            {"pages": ["news/pages/1-ab/"], "topics": {}},
            {"pages": "news/pages/1-ab/", "topics": [1]},
        ],
    )
    def test_a_latest_json_that_names_other_folders_is_none_of_ours_and_is_written_again(
        self, room: Newsroom, victim: Path, content: dict[str, Any]
    ) -> None:
        room.resources.store.write_json("news/latest.json", json_text.to_json({"format": 1, **content}))
        assert clean(room).repaired
        assert is_whole(room)
        assert (victim / "a.txt").exists()


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
    assert (found.files_failed, found.files_removed) == (1, 5)
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
    assert len(asked) == leftovers.FAILURES
    assert room.value("SELECT count(*) FROM rerank.store_removal") == 9
