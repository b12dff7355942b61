"""What the source has deleted leaves the page, says so, and cannot take the whole page with it."""

from collections.abc import Iterator
from typing import Any

import pytest
from factories import Newsroom
from sqlalchemy import text

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.errors import SourceError
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

VIEW = (
    "SELECT article_id, version, ingested_at, NULL::text AS url, title, NULL::text AS summary, NULL::text AS body,"
    " 'en'::text AS lang, NULL::text AS source, NULL::timestamptz AS published_at FROM story"
)


@pytest.fixture
def room(room: Newsroom) -> Newsroom:
    room.follow("solar")
    room.add("solar 1", "solar 2", "solar 3")
    return room


@pytest.fixture
def elsewhere(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """Another database with three stories and a view over them."""
    database = Database(postgres.create("elsewhere"))
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE story AS SELECT 'solar ' || n AS article_id, 'solar ' || n AS title, '1'::text AS version,"
            " now() - interval '1 hour' AS ingested_at FROM generate_series(1, 3) n"
        )
        connection.exec_driver_sql(f"CREATE VIEW feed AS {VIEW}")
    yield database
    postgres.drop("elsewhere")


def delete(room: Newsroom, *article_ids: str) -> None:
    room.sql("DELETE FROM rerank.article WHERE article_id = ANY(:ids)", ids=list(article_ids))


def hidden(room: Newsroom) -> dict[str, str]:
    """What the current publication left out, and why."""
    found = room.sql(
        "SELECT article_id, why FROM rerank.publication_hidden JOIN rerank.pointer USING (publication_id)"
    )
    return {row.article_id: row.why for row in found}


def test_a_deleted_article_leaves_the_page_at_the_next_publication_and_is_counted(room: Newsroom) -> None:
    room.run("first")
    delete(room, "solar 2")
    assert len(room.page()) == 3  # not before
    found = room.run("second")["publish"]
    assert found["hidden"] == 1
    assert sorted(room.page()) == ["solar 1", "solar 3"]
    assert hidden(room) == {"solar 2": "deleted"}
    assert "solar 2" not in room.parquet(found).column("article_id").to_pylist()
    metrics = (
        "SELECT value FROM rerank.run_metric WHERE stage = 'publish' AND name = 'hidden' ORDER BY run_id"
    )
    assert [row.value for row in room.sql(metrics)] == [0, 1]


def test_whether_the_source_has_any_article_is_asked_only_where_one_is_gone(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, asked = db.rows, []

    def told(connection: Any, name: str, *arguments: Any, **values: Any) -> Any:
        asked.append(name)
        return rows(connection, name, *arguments, **values)

    monkeypatch.setattr(db, "rows", told)
    room.run("first")
    assert asked.count("source.absent") == 1
    assert "source.first" not in asked
    delete(room, "solar 2")
    room.run("second")
    assert asked.count("source.first") == 1


def test_where_deletes_are_ignored_it_stays_and_nothing_is_noted(room: Newsroom) -> None:
    room.run("first")
    delete(room, "solar 2")
    room.run("hides")
    room = room.tuned(source_deletes="ignore")
    assert room.run("ignores")["publish"]["hidden"] == 0
    assert len(room.page()) == 3
    assert room.value("SELECT count(*) FROM rerank.deleted") == 0


def test_the_rerun_of_a_frozen_run_names_the_reason(room: Newsroom) -> None:
    room.run("k")
    delete(room, "solar 1", "solar 2")
    found = room.run("k")["publish"]
    assert found["difference"] == "deleted: 2 articles are gone from the source"
    assert room.run("k")["publish"]["difference"] is None


def test_every_reason_of_a_removal_is_named(room: Newsroom) -> None:
    room.run("k")
    delete(room, "solar 1")
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'solar 2', 'r')")
    found = room.run("k")["publish"]
    assert (
        found["difference"] == "deleted: 1 articles were hidden by hand, 1 articles are gone from the source"
    )
    assert hidden(room) == {"solar 1": "deleted", "solar 2": "blocked"}


def test_an_article_that_comes_back_is_shown_again_and_the_rerun_says_so(room: Newsroom) -> None:
    room.run("k")
    delete(room, "solar 1")
    room.run("k")
    room.add("solar 1")
    found = room.run("k")["publish"]
    assert found["difference"] == "restored: 1 articles are shown again"
    assert len(room.page()) == 3
    assert room.value("SELECT count(*) FROM rerank.deleted") == 0


def test_another_article_of_the_same_text_takes_its_place_in_the_next_run(room: Newsroom) -> None:
    room.add("copy a", "copy b", title="solar news")
    room.run("first")
    assert "copy a" in room.page()
    assert "copy b" not in room.page()
    delete(room, "copy a")
    room.run("notices")
    room.run("replaces")
    assert "copy b" in room.page()
    assert "copy a" not in room.page()


class TestAtOnce:
    """More than a share of the window gone at once is a fault of the source, not its will."""

    @pytest.fixture
    def many(self, room: Newsroom) -> Newsroom:
        room.add(*(f"solar {number}" for number in range(4, 11)))
        room = room.tuned(deletes_stop_articles=3)
        room.run("first")
        return room

    def test_the_run_stops_and_the_page_stays(self, many: Newsroom) -> None:
        page = many.page()
        delete(many, *(f"solar {number}" for number in range(1, 4)))
        with pytest.raises(SourceError) as caught:
            many.run("second")
        assert str(caught.value) == (
            "source view rerank.source_article lacks 3 of the window's 10 articles, all gone at once: the page stays as"
            " it is; repair the view; if they were deleted on purpose, publish with RERANK_DELETES_STOP_SHARE=1"
        )
        assert many.page() == page
        assert many.value("SELECT count(*) FROM rerank.deleted") == 0

    def test_an_empty_view_stops_the_run(self, many: Newsroom) -> None:
        many.sql("DELETE FROM rerank.article")
        with pytest.raises(SourceError, match="lacks 10 of the window's 10 articles"):
            many.run("second")
        assert len(many.page()) == 10

    def test_control_without_the_stop_the_empty_view_empties_the_page(self, many: Newsroom) -> None:
        many.sql("DELETE FROM rerank.article")
        many.tuned(deletes_stop_share=1.0).run("second")
        assert many.page() == []

    def test_with_the_share_at_one_it_is_published_after_all(self, many: Newsroom) -> None:
        delete(many, *(f"solar {number}" for number in range(1, 4)))
        assert many.tuned(deletes_stop_share=1.0).run("second")["publish"]["hidden"] == 3

    def test_exactly_the_share_is_not_too_much(self, many: Newsroom) -> None:
        delete(many, *(f"solar {number}" for number in range(1, 4)))
        assert many.tuned(deletes_stop_share=0.3).run("second")["publish"]["hidden"] == 3

    def test_deletes_that_come_little_by_little_stop_nothing(self, many: Newsroom) -> None:
        for number in range(1, 8, 2):
            delete(many, f"solar {number}", f"solar {number + 1}")
            assert many.run(f"after {number}")["publish"]["hidden"] == number + 1
        assert sorted(many.page()) == ["solar 10", "solar 9"]

    def test_few_articles_stop_nothing_whatever_their_share(self, room: Newsroom) -> None:
        room.add("an old one", ingested_at=room.ago(days=9))
        room.run("first")
        delete(room, "solar 1", "solar 2", "solar 3")
        assert room.run("second")["publish"]["hidden"] == 3
        assert room.standing().state == "abstained"

    def test_a_source_that_has_none_left_stops_the_run_however_few_there_were(self, room: Newsroom) -> None:
        room.run("first")
        room.sql("DELETE FROM rerank.article")
        with pytest.raises(SourceError, match="lacks 3 of the window's 3 articles"):
            room.run("second")
        assert len(room.page()) == 3


class TestElsewhere:
    """The source is in another database."""

    @pytest.fixture
    def far(self, room: Newsroom, elsewhere: Database) -> Newsroom:
        delete(room, "solar 1", "solar 2", "solar 3")
        room = room.tuned(source_view="feed", source_url=elsewhere.url)
        room.run("first")
        return room

    def write(self, elsewhere: Database, statement: str) -> None:
        with elsewhere.transaction() as connection:
            connection.execute(text(statement))

    def test_a_deleted_article_leaves_the_page(self, far: Newsroom, elsewhere: Database) -> None:
        self.write(elsewhere, "DELETE FROM story WHERE article_id = 'solar 2'")
        assert far.run("second")["publish"]["hidden"] == 1
        assert sorted(far.page()) == ["solar 1", "solar 3"]

    def test_a_source_that_does_not_answer_stops_no_page_and_what_was_hidden_stays_so(
        self, far: Newsroom, elsewhere: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.write(elsewhere, "DELETE FROM story WHERE article_id = 'solar 2'")
        far.run("second")
        self.write(elsewhere, "DELETE FROM story WHERE article_id = 'solar 3'")
        run = far.until("publish", "third")
        away = far.tuned(source_url=elsewhere.url.replace("elsewhere", "nowhere"))
        found: dict[str, Any] = away.stage("publish", run)
        assert (found["hidden"], found["is_current"]) == (1, True)
        assert sorted(far.page()) == ["solar 1", "solar 3"]
        assert "deleted articles are not looked for" in caplog.text

    def test_a_view_that_is_gone_stops_the_run(self, far: Newsroom, elsewhere: Database) -> None:
        run = far.until("publish", "second")
        self.write(elsewhere, "DROP VIEW feed")
        with pytest.raises(SourceError, match="source view feed cannot be read"):
            far.stage("publish", run)
        assert len(far.page()) == 3
