"""The roles of the printed script: what each must be able to do, and everything that it must not."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from factories import Newsroom
from role_office import NONE, VIEW, Office, offences, printed

from rerank_core.operations import maintain, pointer, removal
from rerank_core.storage import database as db
from rerank_core.storage.roles import identifier, literal


def test_the_whole_product_works_with_these_roles_and_none_can_do_more(
    office: Callable[..., Office], newsroom: Callable[..., Newsroom], capsys: pytest.CaptureFixture[str]
) -> None:
    made = office()
    room = newsroom(made)
    room.follow("solar")
    room.add("solar power", "solar panel", "wind")
    first = room.run("first")
    assert (first["extract"]["claimed"], first["publish"]["rows"]) == (3, 3)
    assert first["publish"]["is_current"]
    room.edit("wind", title="solar wind")
    room.engines.options = {"fail_at_chunk": 0}
    assert room.run("degraded")["publish"]["degraded"]
    room.engines.options = {}
    assert room.run("healed")["publish"]["is_current"]
    assert room.run("again", rescore=True)["publish"]["rows"] == 3
    unread = newsroom(made, source_url=None)
    unread.add("solar roof")
    assert unread.run("as one role")["extract"]["claimed"] == 1

    page = made.sql(
        made.roles.frontend, "SELECT article_id FROM rerank.current_ranking WHERE topic = 'solar'"
    )
    assert {name for (name,) in page} == {"solar power", "solar panel", "wind", "solar roof"}
    assert made.sql(made.roles.frontend, "SELECT state FROM rerank.current_topic") == [("full",)]
    recent = "SELECT count(DISTINCT publication_id) FROM rerank.recent_ranking"
    assert made.sql(made.roles.frontend, recent) == [(5,)]
    assert made.sql(made.roles.source, f"SELECT count(*) FROM {VIEW}") == [(4,)]

    assert offences(made) == NONE
    made.sql("postgres", printed(made.roles, capsys))  # with rows and partitions in it
    assert room.run("after the script")["publish"]["is_current"]
    assert offences(made) == NONE


def test_every_table_is_decided_on_and_the_writer_has_the_rights_that_statements_use(
    office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    made = office()
    made.sql("postgres", "CREATE EXTENSION vector SCHEMA rerank; SELECT rerank.ensure_vectors(1, 3)")
    made.sql("postgres", printed(made.roles, capsys))
    decided = set(re.findall(r"^ +\('(\w+)', +(?:'|NULL)", printed(made.roles, capsys), re.MULTILINE))
    found = made.sql(
        "postgres",
        "SELECT relname, has_any_column_privilege(w.name, c.oid, 'INSERT'), has_any_column_privilege(w.name, c.oid, 'UPDATE'),"
        " has_table_privilege(w.name, c.oid, 'DELETE'), has_table_privilege(w.name, c.oid, 'TRUNCATE, TRIGGER, REFERENCES')"
        f" FROM pg_class c, (SELECT {literal(made.roles.writer)}::name AS name) w"
        " WHERE relnamespace = 'rerank'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition",
    )
    rights = {
        "vector" if name == "vector_1" else str(name): {
            verb for verb, has in zip(("INSERT", "UPDATE", "DELETE"), had, strict=False) if has
        }
        for name, *had in found
    }
    assert decided == set(rights)
    assert not any(row[-1] for row in found)
    assert rights == {name: set() for name in rights} | used_by_statements()


def used_by_statements() -> dict[str, set[str]]:
    """How each table is written by the library's own statements."""
    used: dict[str, set[str]] = {}
    for sql in db.statement_texts().values():
        statement = sql.replace("{vectors}", "rerank.vector")
        # A clause ends where the next one that writes begins.
        for clause in re.split(r"(?=\b(?:INSERT INTO|DELETE FROM|UPDATE)\s)", statement):
            if written := re.match(r"(INSERT|DELETE|UPDATE)\s(?:INTO |FROM )?rerank\.(\w+)", clause):
                used.setdefault(written[2], set()).add(written[1])
                if clause.split()[-1] == "DO":  # ON CONFLICT … DO UPDATE
                    used[written[2]].add("UPDATE")
    for file in Path(db.__file__).parents[1].rglob("*.py"):
        for name in re.findall(r'copy_in\(\s*connection,\s*"rerank\.(\w+)"', file.read_text("utf-8")):
            used.setdefault(name, set()).add("INSERT")
    used["turn"] = {"INSERT", "UPDATE"}  # by the function take_turn
    used["vector"].add("DELETE")  # by the trigger that forgets the vector of a text
    return used


@pytest.mark.parametrize("spoil", [None, "ALTER VIEW rerank.{view} RESET (security_barrier)"])
@pytest.mark.parametrize("view", ["current_ranking", "recent_ranking"])
def test_an_error_tells_a_frontend_nothing_of_rows_that_its_view_leaves_out(
    office: Callable[..., Office], newsroom: Callable[[Office], Newsroom], view: str, spoil: str | None
) -> None:
    place = office()
    room = newsroom(place)
    room.follow("solar")
    room.add("solar one", "solar two")
    room.run("first")
    removal.block(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id="solar two",
        reason="why",
    )
    if spoil is not None:
        place.sql("postgres", spoil.format(view=view))
    told = []
    for article_id in ("solar one", "solar two"):
        try:
            condition = f"article_id = '{article_id}' AND CAST(title || '!' AS integer) = 1"
            place.sql(place.roles.frontend, f"SELECT 1 FROM rerank.{view} WHERE {condition}")
        except psycopg2.errors.InvalidTextRepresentation as error:
            told.append(str(error).strip().rpartition(" integer: ")[2])
    assert told == (['"solar one!"'] if spoil is None else ['"solar one!"', '"solar two!"'])


def test_rollback_forgetting_and_the_clean_up_work_for_the_writer(
    office: Callable[..., Office], newsroom: Callable[..., Newsroom]
) -> None:
    made = office()
    room = newsroom(made, source_url=None)
    where: dict[str, Any] = {"database": room.database, "store": room.resources.store}
    room.follow("solar")
    room.add("solar power", "solar panel")
    first, _ = (room.run(key)["publish"] for key in ("first", "second"))
    back = pointer.rollback(settings=room.settings, run_id=first["run_id"], reason="it was right", **where)
    assert (back.publication_id, back.actor) == (first["publication_id"], made.roles.writer)
    assert not room.run("third")["publish"]["is_current"]
    released = pointer.release(settings=room.settings, reason="mended", **where)
    assert released.publication_id > first["publication_id"]
    removal.forget(settings=room.settings, article_id="solar power", reason="asked for", **where)
    assert room.page() == ["solar panel"]

    made.sql(
        "postgres",
        "SELECT rerank.ensure_month('2020-01-01'); UPDATE rerank.publication SET published_at = now() - interval '9 years';"
        " UPDATE rerank.pointer_move SET moved_at = now() - interval '9 years'",
    )
    done = maintain.maintain(settings=room.settings, **where)
    assert (done.publications_deleted, done.publications_kept) == (3, 1)
    assert done.months_dropped == 1
    assert room.page() == ["solar panel"]


@pytest.mark.parametrize(
    ("spoil", "who"),
    [
        ("GRANT ALL ON ALL TABLES IN SCHEMA rerank TO {writer}", "writer"),
        ("GRANT UPDATE ON rerank.pointer TO {writer}", "writer"),
        ("GRANT SELECT ON ALL TABLES IN SCHEMA rerank TO {frontend}", "frontend"),
        ("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rerank TO PUBLIC", "frontend"),
        ("GRANT SELECT ON rerank.article TO {source}", "source"),
    ],
)
def test_control_a_right_too_many_is_found(office: Callable[..., Office], spoil: str, who: str) -> None:
    made = office()
    names = {name: identifier(getattr(made.roles, name)) for name in ("writer", "source", "frontend")}
    made.sql("postgres", spoil.format(**names))
    assert offences(made)[who] != []


def test_control_with_another_decision_the_writer_writes_the_pointer(
    office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    made = office()
    text = printed(made.roles, capsys)
    broken = re.sub(r"(\('pointer', +)NULL", r"\1'UPDATE'", text)
    assert broken != text
    made.sql("postgres", broken)
    assert "UPDATE rerank.pointer SET held = true" in offences(made)["writer"]


def test_tables_and_functions_of_later_migrations_work_for_the_writer_and_for_nobody_else(
    office: Callable[..., Office],
) -> None:
    made = office()
    made.sql(
        made.roles.owner,
        "CREATE TABLE rerank.later (a int GENERATED ALWAYS AS IDENTITY, b int);"
        " CREATE FUNCTION rerank.later() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    made.sql(made.roles.writer, "INSERT INTO rerank.later (b) VALUES (rerank.later())")
    tries = ["SELECT * FROM rerank.later", "SELECT rerank.later()"]
    assert made.allowed(made.roles.frontend, tries) == made.allowed(made.roles.source, tries) == []


def test_the_writer_makes_tables_of_vectors_where_a_superuser_has_made_the_extension(
    office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    made = office()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="extension"):
        made.sql(made.roles.writer, "SELECT rerank.ensure_vectors(1, 3)")
    made.sql("postgres", "CREATE EXTENSION vector SCHEMA rerank")
    made.sql("postgres", printed(made.roles, capsys))
    made.sql(made.roles.writer, "SELECT rerank.ensure_vectors(1, 3)")
    made.sql(
        made.roles.writer,
        "INSERT INTO rerank.document (digest, month, lang, length, text, terms) VALUES ('x', '2031-01-01', 'en', 1, 'a', 'a');"
        " INSERT INTO rerank.vector_1 SELECT document_id, '[1,2,3]' FROM rerank.document;"
        " UPDATE rerank.document SET text = ''",
    )
    assert made.sql(made.roles.writer, "SELECT count(*) FROM rerank.vector_1") == [(0,)]
    assert offences(made) == NONE


def test_a_database_that_others_use_keeps_the_rights_of_public(office: Callable[..., Office]) -> None:
    made = office("--shared")
    public = [
        "CREATE TEMP TABLE mine (a int)",
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_from_bytea(0, 'x')",
    ]
    assert offences(made) == NONE | {"frontend": public, "source": public}
