"""A clean-up as a whole: it may be killed, repeated, run twice at once or beside runs, and its counts add up."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from clean_ups import clean, files, is_whole, pass_days, root
from factories import Newsroom

from rerank_core import pipeline
from rerank_core.cli import main
from rerank_core.errors import CorruptError
from rerank_core.frontends import json_pages
from rerank_core.operations import maintain
from rerank_core.storage.store import Store


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
    assert planned.files_removed == done.files_removed == 5  # and the JSON page of before with its feeds
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

    def killed(self: Store, path: str, *paths: Any, original: Any) -> bool:
        calls.append(path)
        if len(calls) == at // 2 + 1:
            if at % 2:
                original(self, path, *paths)  # the file is gone, and the list says that it is to go
            raise Killed
        return bool(original(self, path, *paths))

    with monkeypatch.context() as patch:
        for name in ("remove", "remove_folder"):
            original = getattr(Store, name)
            patch.setattr(
                Store, name, lambda self, *paths, original=original: killed(self, *paths, original=original)
            )
        with pytest.raises(Killed):
            clean(room)
    found = clean(room)
    assert found.files == found.files_named + found.files_removed
    assert room.value("SELECT count(*) FROM rerank.store_removal") == 0
    assert is_whole(room)


@pytest.mark.parametrize(
    "step", ["publications", "runs", "revisions", "documents", "texts", "months", "topic files"]
)
def test_a_clean_up_that_is_killed_after_any_step_is_finished_by_the_next_one(
    two_pages: Newsroom, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    room = two_pages
    original = maintain.STEPS[step]

    def killed(work: Any) -> None:
        original(work)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setitem(maintain.STEPS, step, killed)
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
    assert clean(room).files == 7


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


def test_the_command_prints_what_was_done(
    two_pages: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", two_pages.settings.database_url)
    monkeypatch.setenv("RERANK_STORE_URL", two_pages.settings.store_url)
    for options, title in ((["--dry-run"], "would be"), ([], "clean-up")):
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
    monkeypatch.setitem(maintain.STEPS, "months", lambda work: {"months": 2, "months_kept": 1})
    with pytest.raises(CorruptError, match="months do not add up: 2 looked at, 1 counted"):
        clean(room)
    assert pipeline.STAGES  # the order of the stages knows nothing of a clean-up
    assert "maintain" not in pipeline.STAGES
