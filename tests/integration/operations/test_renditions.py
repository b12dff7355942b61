"""Renditions go with the last article that has them, and no run loses one that it takes up."""

import threading

import pytest
from clean_ups import clean, files, pass_days
from factories import Newsroom, statement_replaced
from made_media import add_medium, picture

from rerank_core.operations import removal
from rerank_core.storage import database, renditions
from rerank_core.storage.rendition_names import RENDITIONS, rendition_path
from rerank_core.storage.renditions import Rendition


@pytest.fixture
def shown(room: Newsroom) -> Newsroom:
    """Two articles with one picture, and one with another; all that was two days ago."""
    room = room.tuned(media=("pictures",))
    room.follow("solar")
    for name, colour in (("a", "red"), ("b", "red"), ("c", "blue")):
        room.add(name, body=f"{name} about solar power")
        add_medium(room, name, picture(colour), caption=f"secret {name}")
    room.run("k")
    pass_days(room, 2)
    return room


def forget(room: Newsroom, article_id: str) -> removal.Forgotten:
    return removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article_id,
        reason="asked",
    )


def pictures(room: Newsroom) -> set[str]:
    return {path for path in files(room) if path.startswith(RENDITIONS)}


def test_a_picture_goes_with_the_last_article_that_has_it(shown: Newsroom) -> None:
    rows = {row.article_id: row.pictures[0] for row in shown.ranking()}
    assert pictures(shown) == set(rows.values())
    assert rows["a"] == rows["b"] != rows["c"]
    assert forget(shown, "a").pictures == ()
    found = clean(shown)
    assert (found.renditions, found.renditions_named, found.renditions_removed) == (2, 2, 0)
    assert forget(shown, "b").pictures == (rows["a"],)
    assert clean(shown, dry_run=True).renditions_removed == 1
    assert len(pictures(shown)) == 2, "a dry run removes nothing"
    found = clean(shown)
    assert (found.renditions, found.renditions_named, found.renditions_removed) == (2, 1, 1)
    assert pictures(shown) == {rows["c"]}
    assert shown.value("SELECT count(*) FROM rerank.rendition") == 1
    rest = shown.sql("SELECT captions FROM rerank.ranking WHERE captions::text ~ 'secret [ab]'")
    assert not rest, "no caption of a forgotten article is left in any ranking"
    assert shown.value("SELECT count(*) FROM rerank.article_medium") == 1


def test_what_is_young_foreign_or_left_by_a_killed_run_is_told_apart(shown: Newsroom) -> None:
    store = shown.resources.store
    folder = store.local_folder
    assert folder is not None
    orphan = rendition_path("0" * 64, is_clip=False)
    store.write_picture(orphan, b"left by a killed run")
    (folder / RENDITIONS / "notes.txt").write_text("of somebody else")
    found = clean(shown)
    assert (found.renditions, found.renditions_foreign, found.renditions_young) == (4, 1, 1)
    pass_days(shown, 2)
    found = clean(shown)
    assert (found.renditions_removed, found.renditions_foreign, found.renditions_named) == (1, 1, 2)
    assert orphan not in files(shown)


def taken_up_while_removed(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A run takes a picture up while a clean-up removes its file. Whether the file is there in the end."""
    path = rendition_path("1" * 64, is_clip=False)
    made = {path: Rendition(path, b"content", 64, 64, 1)}
    store = room.resources.store
    with room.database.transaction() as connection:
        renditions.keep(connection, store, made)
    pass_days(room, 3)
    remove = type(store).remove

    def take_up() -> None:
        with database.Database(room.settings.database_url).transaction() as connection:
            renditions.keep(connection, store, made)

    run = threading.Thread(target=take_up)

    def removing(self: object, wanted: str) -> bool:
        if wanted == path:
            run.start()
            run.join(1.0)  # it waits for the row, or is done
        return remove(store, wanted)

    monkeypatch.setattr(type(store), "remove", removing)
    clean(room)
    run.join()
    return path in files(room)


def test_a_picture_that_a_run_takes_up_while_it_is_removed_is_there(
    shown: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert taken_up_while_removed(shown, monkeypatch)


def test_control_without_the_row_s_lock_the_run_loses_it(
    shown: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_replaced(
        monkeypatch,
        "renditions.take_unused",
        "SELECT path FROM rerank.rendition WHERE path = ANY(CAST(:paths AS text[])) AND used_at < :before"
        " AND path LIKE '%/1111%'",
    )
    assert not taken_up_while_removed(shown, monkeypatch)


def test_a_file_that_a_killed_clean_up_removed_is_written_again(shown: Newsroom) -> None:
    (path,) = {row.pictures[0] for row in shown.ranking() if row.article_id == "c"}
    shown.resources.store.remove(path)
    shown.add("d", body="d about solar power")
    add_medium(shown, "d", picture("blue"))
    shown.run("later")
    assert renditions.read(shown.resources.store, path)
