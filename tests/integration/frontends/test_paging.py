"""A reader that keeps to a publication sees one ranking, page by page, whatever is published meanwhile."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from factories import Newsroom
from sqlalchemy import text

from rerank_core.operations import pointer, removal
from rerank_core.storage.database import Database

SIZE = 3

# How a reader asks for the next rows below a rank: what it knows is the publication that it began with.
PINNED = (
    "SELECT publication_id, rank, article_id FROM rerank.recent_ranking"
    " WHERE publication_id = :publication_id AND topic = 'solar' AND rank > :last ORDER BY rank LIMIT :size"
)
UNPINNED = (
    "SELECT publication_id, rank, article_id FROM rerank.current_ranking"
    " WHERE :publication_id > 0 AND topic = 'solar' AND rank > :last ORDER BY rank LIMIT :size"
)
BY_OFFSET = (
    "SELECT publication_id, rank, article_id FROM rerank.recent_ranking"
    " WHERE publication_id = :publication_id AND topic = 'solar' ORDER BY rank LIMIT :size OFFSET :last"
)
TOPIC = "SELECT publication_id FROM rerank.current_topic WHERE topic = 'solar'"
WHOLE = "SELECT rank, article_id FROM rerank.ranking WHERE publication_id = :p ORDER BY rank"


def read(database: Database, statement: str, **values: Any) -> list[Any]:
    """One statement, as a frontend sends it: a transaction of its own."""
    with database.transaction() as connection:
        return list(connection.execute(text(statement), values).all())


def walk(database: Database, rows: str, between: Callable[[], None]) -> tuple[int, list[tuple[int, str]]]:
    """Read the topic to its end; `between` happens before each further page. Returns the publication and the rows."""
    publication_id = read(database, TOPIC)[0][0]
    seen: list[tuple[int, str]] = []
    while True:
        last = seen[-1][0] if seen else 0
        found = read(database, rows, publication_id=publication_id, last=last, size=SIZE)
        if not found:
            return publication_id, seen
        seen += [(row.rank, row.article_id) for row in found]
        between()


def is_torn(room: Newsroom, publication_id: int, seen: list[tuple[int, str]]) -> bool:
    """Whether a reader saw anything but that publication, whole."""
    return seen != [tuple(row) for row in read(room.database, WHOLE, p=publication_id)]


@pytest.fixture
def ten(room: Newsroom) -> Newsroom:
    """A topic with ten articles; each next run puts another one first."""
    room.follow("solar")
    room.add(*(f"solar {number} " + "wind " * number for number in range(10)))
    room.run("first")
    return room


def put_another_first(room: Newsroom, number: int) -> None:
    """Publish again, so that every rank is another article's."""
    room.add(f"solar {'solar ' * (12 + number)}")
    assert room.run(f"run {number}")["publish"]["is_current"]


@pytest.mark.parametrize(("rows", "torn"), [(PINNED, False), (UNPINNED, True)], ids=["pinned", "control"])
def test_a_reader_that_keeps_to_its_publication_sees_no_other(ten: Newsroom, rows: str, torn: bool) -> None:
    numbers = iter(range(100))
    publication_id, seen = walk(ten.database, rows, lambda: put_another_first(ten, next(numbers)))
    assert len(seen) >= 10
    assert ten.standing().publication_id > publication_id
    assert is_torn(ten, publication_id, seen) == torn


@pytest.mark.parametrize(("rows", "torn"), [(PINNED, 0), (UNPINNED, 1)], ids=["pinned", "control"])
def test_readers_beside_a_publisher_see_no_torn_ranking(ten: Newsroom, rows: str, torn: int) -> None:
    published, done = threading.Semaphore(0), threading.Event()
    walks: list[tuple[int, list[tuple[int, str]]]] = []
    broken: list[BaseException] = []

    def publish() -> None:
        try:
            for number in range(6):
                put_another_first(ten, number)
                published.release()
        except BaseException as error:
            broken.append(error)
        finally:
            done.set()
            published.release(1000)

    def reader() -> None:
        try:
            while not done.is_set():
                # Each second page comes after at least one more publication; the others at any moment.
                walks.append(walk(ten.database, rows, lambda: published.acquire() and None))
        except BaseException as error:
            broken.append(error)

    threads = [threading.Thread(target=one) for one in (publish, reader, reader)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    assert len(walks) >= 2
    found = sum(is_torn(ten, publication_id, seen) for publication_id, seen in walks)
    assert found >= torn
    assert torn or found == 0


@pytest.mark.parametrize(("rows", "skips"), [(PINNED, False), (BY_OFFSET, True)], ids=["by rank", "control"])
def test_an_article_that_is_hidden_meanwhile_makes_nobody_miss_another(
    ten: Newsroom, rows: str, skips: bool
) -> None:
    first = ten.page()[0]
    hide = iter([lambda: block(ten, first)])
    publication_id, seen = walk(ten.database, rows, lambda: next(hide, lambda: None)())
    missed = {row.article_id for row in read(ten.database, WHOLE, p=publication_id)} - {
        name for _, name in seen
    }
    assert bool(missed) == skips


def block(room: Newsroom, article_id: str) -> None:
    removal.block(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article_id,
        reason="asked for",
    )


def recent(room: Newsroom, publication_id: int) -> list[str]:
    found = read(
        room.database,
        "SELECT article_id FROM rerank.recent_ranking WHERE publication_id = :p ORDER BY topic, rank",
        p=publication_id,
    )
    return [row.article_id for row in found]


class TestRecent:
    """What is the page, or was within a day, and nothing that must not be shown."""

    @pytest.fixture
    def two(self, room: Newsroom) -> tuple[Newsroom, int, int]:
        """A page, and the one before it."""
        room.follow("solar")
        room.add("solar one", "solar two")
        before = room.run("before")["publish"]["publication_id"]
        room.add("solar three")
        now = room.run("now")["publish"]["publication_id"]
        return room, before, now

    def test_the_page_is_the_same_in_both_views(self, two: tuple[Newsroom, int, int]) -> None:
        room, _, now = two
        current = read(room.database, "SELECT * FROM rerank.current_ranking ORDER BY topic, rank")
        same = read(
            room.database,
            "SELECT * FROM rerank.recent_ranking WHERE publication_id = :p ORDER BY topic, rank",
            p=now,
        )
        assert same == current != []

    def test_a_page_of_the_past_is_gone_after_a_day(self, two: tuple[Newsroom, int, int]) -> None:
        room, before, now = two
        move = "UPDATE rerank.pointer_move SET moved_at = now() - CAST(:ago AS interval)"
        room.sql(move, ago="23 hours 59 minutes")
        assert len(recent(room, before)) == 2
        room.sql(move, ago="24 hours 1 minute")
        assert recent(room, before) == []
        assert len(recent(room, now)) == 3  # however long it stays

    def test_what_never_was_the_page_is_not_shown(self, two: tuple[Newsroom, int, int]) -> None:
        room, *_ = two
        room.add("solar late", ingested_at=room.ago(hours=9))
        backfill = room.run("backfill", until=room.ago(hours=5))["publish"]
        assert not backfill["is_current"]
        assert backfill["rows"] > 0
        assert recent(room, backfill["publication_id"]) == []

    def test_what_a_rollback_took_away_stays_readable_for_who_began_with_it(
        self, two: tuple[Newsroom, int, int]
    ) -> None:
        room, before, now = two
        run_id = room.value("SELECT min(run_id) FROM rerank.publication")
        pointer.rollback(
            database=room.database,
            store=room.resources.store,
            settings=room.settings,
            run_id=run_id,
            reason="wrong",
        )
        assert room.standing().publication_id == before
        assert len(recent(room, now)) == 3

    @pytest.mark.parametrize("table", ["block", "tombstone"])
    def test_what_must_not_be_shown_is_left_out_by_the_view_itself(
        self, two: tuple[Newsroom, int, int], table: str
    ) -> None:
        room, before, now = two
        room.sql(
            f"INSERT INTO rerank.{table} (pipeline, article_id, reason) VALUES ('news', 'solar one', 'r'), ('x', 'solar two', 'r')"
        )
        assert [recent(room, before), recent(room, now)] == [["solar two"], ["solar three", "solar two"]]

    def test_a_blocked_article_is_in_no_publication(self, two: tuple[Newsroom, int, int]) -> None:
        room, before, now = two
        block(room, "solar one")
        assert recent(room, before) == ["solar two"]
        assert "solar one" not in recent(room, now)

    def test_a_forgotten_article_is_in_no_publication(self, two: tuple[Newsroom, int, int]) -> None:
        room, before, now = two
        removal.forget(
            database=room.database,
            store=room.resources.store,
            settings=room.settings,
            article_id="solar one",
            reason="asked for",
        )
        again = room.standing().publication_id
        assert again > now
        for publication_id in (before, now, again):
            assert "solar one" not in recent(room, publication_id)
            assert recent(room, publication_id) != []

    def test_what_the_source_deleted_is_in_no_page_of_the_past_once_the_page_is_without_it(
        self, two: tuple[Newsroom, int, int]
    ) -> None:
        room, before, now = two
        room.sql("DELETE FROM rerank.article WHERE article_id = 'solar one'")
        assert "solar one" in recent(room, before)
        room.run("later")
        assert "solar one" not in room.page()
        for publication_id in (before, now):
            assert "solar one" not in recent(room, publication_id)
            assert "solar two" in recent(room, publication_id)
