"""An error of a statement shows no parameter and no row, whichever way the statement came and the error goes."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from canaries import CANARY, told
from factories import Newsroom
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from rerank_core.errors import CorruptError, DatabaseUnavailable
from rerank_core.storage import copy
from rerank_core.storage import database as db
from rerank_core.storage.database import Database


def unique(connection: Connection) -> None:
    for _ in range(2):
        connection.execute(text("INSERT INTO rerank.article (article_id) VALUES (:id)"), {"id": CANARY})


def not_null(connection: Connection) -> None:
    insert = text("INSERT INTO rerank.article (article_id, body, title) VALUES ('a', :body, :title)")
    connection.execute(insert, {"body": CANARY, "title": None})


def check(connection: Connection) -> None:
    insert = text("INSERT INTO rerank.article (article_id, body) VALUES ('', :body)")
    connection.execute(insert, {"body": CANARY})


def many(connection: Connection) -> None:
    insert = text("INSERT INTO rerank.article (article_id, body) VALUES (:id, :body)")
    connection.execute(insert, [{"id": "a", "body": CANARY}, {"id": "a", "body": CANARY}])


def wrong_type(connection: Connection) -> None:
    connection.execute(text("SELECT CAST(:value AS integer)"), {"value": CANARY})


def wrong_date(connection: Connection) -> None:
    connection.execute(text("SELECT CAST(:value AS timestamptz)"), {"value": f"{CANARY} tomorrow"})


def wrong_json(connection: Connection) -> None:
    connection.execute(text("SELECT CAST(:value AS jsonb)"), {"value": f'{{"a": {CANARY}'})


def unknown_column(connection: Connection) -> None:
    connection.execute(text("SELECT nothing FROM rerank.article WHERE article_id = :id"), {"id": CANARY})


def copied_in(connection: Connection) -> None:
    rows = pa.table({"article_id": ["a", "b"], "version": ["1", CANARY]})
    copy.copy_in(connection, "rerank.article", rows)


def copied_in_twice(connection: Connection) -> None:
    copy.copy_in(connection, "rerank.article", pa.table({"article_id": [CANARY, CANARY]}))


def copied_out(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE public.odd AS SELECT :id AS n"), {"id": CANARY})
    view = (("view", f"(SELECT CAST(n AS integer) AS article_id FROM public.odd WHERE n = '{CANARY}') AS o"),)
    copy.copy_out(connection, "source.first", pa.schema([("n", pa.int64())]), view)


def at_commit(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE public.late (a text UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
    connection.execute(text("INSERT INTO public.late VALUES (:a), (:a)"), {"a": CANARY})


STATEMENTS = (
    unique,
    not_null,
    check,
    many,
    wrong_type,
    wrong_date,
    wrong_json,
    unknown_column,
    copied_in,
    copied_in_twice,
    copied_out,
    at_commit,
)


def error_of(database: Database, statement: Callable[[Connection], None]) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught, database.transaction() as connection:
        statement(connection)
    return caught.value


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_error_of_a_statement_shows_a_value(
    room: Newsroom, statement: Callable[[Connection], None]
) -> None:
    error = error_of(room.database, statement)
    assert CANARY not in told(error)
    assert getattr(error.orig, "pgcode", None)  # what was wrong is known still


def test_the_sentence_and_the_statement_are_shown(room: Newsroom) -> None:
    error = error_of(room.database, unique)
    assert isinstance(error, IntegrityError)
    assert 'duplicate key value violates unique constraint "article_pkey"' in str(error)
    assert "INSERT INTO rerank.article (article_id)" in str(error)
    assert "DETAIL" not in told(error)


@pytest.mark.parametrize(
    "statement", [statement for statement in STATEMENTS if "copied" not in statement.__name__]
)
def test_control_with_hide_parameters_off_and_the_drivers_own_words_the_value_is_shown(
    room: Newsroom, statement: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        db,
        "create_engine",
        lambda url, **options: create_engine(url, **{**options, "hide_parameters": False}),
    )
    monkeypatch.setattr(db, "_hide_rows", lambda context: None)
    assert CANARY in told(error_of(Database(room.database.url), statement))


def test_control_with_hide_parameters_off_alone_the_parameters_are_shown(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        db,
        "create_engine",
        lambda url, **options: create_engine(url, **{**options, "hide_parameters": False}),
    )
    assert CANARY in told(error_of(Database(room.database.url), unique))


@pytest.mark.parametrize("statement", [unique, copied_in, copied_in_twice])
def test_control_with_the_drivers_own_words_alone_a_row_is_shown(
    room: Newsroom, statement: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "hide_rows", lambda error: None)
    assert CANARY in told(error_of(Database(room.database.url), statement))


def test_rows_that_are_not_of_the_types_that_are_read_are_not_shown(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "statement", lambda name, relations=(): text(f"SELECT '{CANARY}' AS n"))
    schema = pa.schema([("n", pa.int64())])
    with (
        room.database._engine.begin() as connection,
        pytest.raises(CorruptError, match="types int64") as caught,
    ):
        copy.copy_out(connection, "source.first", schema)
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg2://ada:{CANARY}@127.0.0.1:9/news",
        f"postgresql+psycopg2://ada:sesame@127.0.0.1:9/news?sslpassword={CANARY}",
    ],
)
def test_a_server_that_is_away_shows_no_password_in_the_whole_traceback(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="127.0.0.1") as caught:
        Database(url).transaction().__enter__()
    assert CANARY not in told(caught.value) + repr(Database(url))
