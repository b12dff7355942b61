"""A user's own table as the article source: keys of any type, in the same database or another one."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from factories import Newsroom
from sqlalchemy import text

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.errors import SourceError
from rerank_core.storage.database import Database

# As README shows it: the user's names and types on the right, the contract's on the left.
VIEW = """
CREATE VIEW feed AS
SELECT id::text AS article_id, changed_at::text AS version, created_at AS ingested_at, link AS url, headline AS title,
       NULL::text AS summary, {body} AS body, NULL::text AS lang, 'desk' AS source, NULL::timestamptz AS published_at
FROM story
"""
KEYS = {
    "bigint": ["7", "9007199254740993"],
    "uuid": [str(UUID(int=7)), str(UUID(int=8))],
    "text": ['it\'s "odd", 中文\n{x}', "NULL"],
}


@pytest.fixture
def elsewhere(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Another database, without any of our tables."""
    url = postgres.create("elsewhere")
    yield url
    postgres.drop("elsewhere")


def fill(url: str, key_type: str, *, body: str = "story.body") -> Database:
    """A table of stories with keys of this type, and the view over it."""
    database = Database(url)
    with database.transaction() as connection:
        connection.execute(
            text(
                f"CREATE TABLE story (id {key_type} PRIMARY KEY, headline varchar(200), body text, link text,"
                " created_at timestamptz DEFAULT now() - interval '1 hour', changed_at timestamptz DEFAULT now())"
            )
        )
        connection.exec_driver_sql(VIEW.format(body=body))
        for key in KEYS[key_type]:
            connection.execute(
                text(
                    "INSERT INTO story (id, headline, body) VALUES (CAST(:id AS "
                    + key_type
                    + "), 'solar power', :body)"
                ),
                {"id": key, "body": f"solar {key}"},
            )
    return database


def change(database: Database, key: str, body: str) -> None:
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE story SET body = :body, changed_at = clock_timestamp() WHERE id::text = :id"),
            {"id": key, "body": body},
        )


def bodies(room: Newsroom) -> list[tuple[str, int, str]]:
    return [
        tuple(row)
        for row in room.sql(
            "SELECT article_id, number, body FROM rerank.revision JOIN rerank.revision_text USING (revision_id)"
            " ORDER BY article_id, number"
        )
    ]


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("key_type", list(KEYS))
def test_a_table_with_keys_of_any_type_is_ranked_and_only_its_edits_are_claimed_again(
    room: Newsroom, elsewhere: str, key_type: str, where: str
) -> None:
    url = room.settings.database_url if where == "here" else elsewhere
    source = fill(url, key_type)
    room = room.tuned(source_view="feed", source_url=None if where == "here" else elsewhere)
    room.follow("solar")
    keys = sorted(KEYS[key_type])
    assert room.run()["extract"]["claimed"] == 2
    assert bodies(room) == [(key, 1, f"solar {key}") for key in keys]
    assert sorted(room.page()) == keys
    change(source, keys[0], "solar edited")
    found = room.run()["extract"]
    assert (found["claimed"], found["unchanged"]) == (1, 1)
    assert [number for _, number, _ in bodies(room)] == [1, 2, 1]
    assert sorted(room.page()) == keys


def test_bodies_in_another_database_are_read_only_for_versions_not_seen_before(
    room: Newsroom, elsewhere: str
) -> None:
    with Database(elsewhere).transaction() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION noted(body text) RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN"
            " IF body = 'forbidden' THEN RAISE EXCEPTION 'a body was read'; END IF; RETURN body; END $$"
        )
    source = fill(elsewhere, "text", body="noted(story.body)")
    room = room.tuned(source_view="feed", source_url=elsewhere)
    run: dict[str, Any] = room.stage("extract", room.open("first"))
    assert run["claimed"] == 2
    # The same versions with another text: reading it would fail.
    with source.transaction() as connection:
        connection.execute(text("UPDATE story SET body = 'forbidden'"))
    assert room.stage("extract", room.open("second"))["unchanged"] == 2
    change(source, "NULL", "allowed")
    assert room.stage("extract", room.open("third"))["claimed"] == 1
    change(source, "NULL", "forbidden")
    with pytest.raises(Exception, match="a body was read"):
        room.stage("extract", room.open("control"))


def test_odd_texts_come_over_from_another_database_unchanged(room: Newsroom, elsewhere: str) -> None:
    source = fill(elsewhere, "bigint")
    odd = 'quote " comma, \\N \\. line\r\nbreak\n\\.\n\ttab 中文 😀'
    change(source, "7", odd)
    change(source, "9007199254740993", "")
    room = room.tuned(source_view="feed", source_url=elsewhere)
    room.stage("extract", room.open())
    assert bodies(room) == [("7", 1, odd), ("9007199254740993", 1, "")]
    row = room.sql(
        "SELECT url, source, published_at, first_ingested_at FROM rerank.revision WHERE article_id = '7'"
    )[0]
    with source.transaction() as connection:
        created = connection.execute(text("SELECT created_at FROM story WHERE id = 7")).scalar()
    assert tuple(row) == (None, "desk", None, created)


def test_many_bodies_are_fetched_in_parts(
    room: Newsroom, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rerank_core.storage.source.FETCH_ROWS", 3)
    source = fill(elsewhere, "bigint")
    with source.transaction() as connection:
        connection.execute(
            text("INSERT INTO story (id, body) SELECT n, 'solar' FROM generate_series(100, 107) n")
        )
    room = room.tuned(source_view="feed", source_url=elsewhere)
    assert room.stage("extract", room.open())["claimed"] == 10
    assert len(bodies(room)) == 10


def test_a_mistake_in_a_view_of_another_database_names_the_users_view(room: Newsroom, elsewhere: str) -> None:
    source = fill(elsewhere, "bigint")
    room = room.tuned(source_view="feed", source_url=elsewhere)
    with source.transaction() as connection:
        connection.execute(text("ALTER TABLE story DROP CONSTRAINT story_pkey"))
        connection.execute(text("INSERT INTO story (id) VALUES (7)"))
    with pytest.raises(SourceError, match=r"source view feed shows articles more than once: '7' \(2 rows\)"):
        room.stage("extract", room.open())
    with source.transaction() as connection:
        connection.execute(text("DROP VIEW feed"))
    with pytest.raises(SourceError, match="source view feed does not exist"):
        room.stage("extract", room.open())


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_view_with_capitals_is_named_in_quotes(room: Newsroom, elsewhere: str, where: str) -> None:
    url = room.settings.database_url if where == "here" else elsewhere
    source = fill(url, "bigint")
    with source.transaction() as connection:
        connection.exec_driver_sql('ALTER VIEW feed RENAME TO "News Feed"')
    room = room.tuned(source_view='public."News Feed"', source_url=None if where == "here" else elsewhere)
    room.follow("solar")
    assert room.run()["extract"]["claimed"] == 2
    change(source, "7", "solar, changed")
    assert room.run()["extract"]["claimed"] == 1
    assert {row.article_id for row in room.ranking()} == set(KEYS["bigint"])
    with source.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM story WHERE id = 7")
    room.run()  # asks the view which articles are gone
    assert {row.article_id for row in room.ranking()} == {"9007199254740993"}


def test_a_name_that_postgres_folds_is_told(room: Newsroom) -> None:
    room.sql('CREATE VIEW "Feed" AS SELECT * FROM rerank.source_article')
    with pytest.raises(SourceError) as caught:
        room.tuned(source_view="public.Feed").run()
    assert str(caught.value) == (
        "source view public.Feed does not exist; Postgres reads a name without quotes as public.feed: if the view's"
        " name has capitals, set RERANK_SOURCE_VIEW='public.\"Feed\"', else create it, or set RERANK_SOURCE_VIEW"
    )
    assert room.tuned(source_view='public."Feed"').run()["extract"]["sighted"] == 0
