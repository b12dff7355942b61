"""The roles of the printed script: what each must be able to do, and everything that it must not."""

import itertools
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from factories import FakeEngines, Newsroom, statement_replaced
from sqlalchemy import make_url

from rerank_core.cli import main
from rerank_core.demo.postgres import EmbeddedPostgres, find_binaries
from rerank_core.errors import DatabaseUnavailable, InputError
from rerank_core.operations import maintain, pointer, removal
from rerank_core.settings import Settings
from rerank_core.settings import settings as process_settings
from rerank_core.storage import database as db
from rerank_core.storage import migrations
from rerank_core.storage.roles import Roles, identifier, literal, script

VIEW = "rerank.source_article"
VIEWS = {"rerank.current_ranking", "rerank.recent_ranking", "rerank.current_topic"}
_numbers = itertools.count(1)

FRONTEND_MUST_NOT = [
    "CREATE TEMP TABLE mine (a int)",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "CREATE TABLE public.mine (a int)",
    "CREATE TABLE rerank.mine (a int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT rerank.move_pointer('news', 1)",
    "SELECT rerank.ensure_month('2031-01-01')",
    "SELECT rerank.drop_month('2001-01-01')",
    "SELECT rerank.drop_publication(1)",
    "SELECT * FROM rerank.rollback_pointer('news', 1, 'because')",
    "SELECT nextval('rerank.article_version')",
    "SELECT pg_read_file('PG_VERSION')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "DROP VIEW rerank.current_ranking",
]
WRITER_MUST_NOT = [
    "INSERT INTO rerank.pointer (pipeline, publication_id) SELECT 'other', publication_id FROM rerank.publication",
    "UPDATE rerank.pointer SET held = true",
    "DELETE FROM rerank.pointer",
    "TRUNCATE rerank.pointer CASCADE",
    "INSERT INTO rerank.pointer_move (pipeline, to_publication_id, reason) VALUES ('news', 1, 'mine')",
    "UPDATE rerank.pointer_move SET actor = 'somebody else'",
    "DELETE FROM rerank.pointer_move",
    "UPDATE rerank.publication SET rows_sha256 = ''",
    "UPDATE rerank.publication SET as_of = now() WHERE false",
    "DELETE FROM rerank.publication",
    "UPDATE rerank.topic_version SET top_k = 1",
    "UPDATE rerank.ranking SET rank = rank + 100",
    "UPDATE rerank.ranking_topic SET state = 'full'",
    "DELETE FROM rerank.ranking",
    "UPDATE rerank.gate SET verdict = 'approved'",
    "DELETE FROM rerank.gate",
    "DELETE FROM rerank.tombstone",
    "DELETE FROM rerank.feedback",
    "DELETE FROM rerank.claim",
    "DELETE FROM rerank.run",
    "INSERT INTO rerank.alembic_version (version_num) VALUES ('9999')",
    "UPDATE rerank.alembic_version SET version_num = '0000'",
    "DROP TABLE rerank.pair_score",
    "ALTER TABLE rerank.pointer DISABLE TRIGGER ALL",
    "ALTER TABLE rerank.publication OWNER TO CURRENT_USER",
    "CREATE TABLE rerank.mine (a int)",
    "CREATE TABLE public.mine (a int)",
    "CREATE SCHEMA mine",
    "CREATE OR REPLACE FUNCTION rerank.move_pointer(of_pipeline text, wanted bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "CREATE OR REPLACE VIEW rerank.current_topic AS SELECT 1",
    "GRANT UPDATE ON rerank.pointer TO CURRENT_USER; UPDATE rerank.pointer SET held = true",
    "COPY (SELECT 1) TO PROGRAM 'true'",
]
SOURCE_MUST_NOT = [
    "CREATE TEMP TABLE mine (a int)",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "CREATE TABLE public.mine (a int)",
    "SELECT rerank.ensure_month('2031-01-01')",
    "SELECT rerank.move_pointer('news', 1)",
    "UPDATE rerank.source_article SET title = ''",
    "DELETE FROM rerank.source_article",
]


@dataclass(frozen=True)
class Office:
    """A database with the four roles; each logs in over the socket."""

    url: str  # of the superuser
    roles: Roles

    def url_of(self, role: str) -> str:
        return make_url(self.url).set(username=role).render_as_string(hide_password=False)

    def login(self, role: str) -> "psycopg2.extensions.connection":
        url = make_url(self.url)
        return psycopg2.connect(dbname=url.database, user=role, host=url.query["host"])

    def sql(self, role: str, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as `role`, by a login of its own, and keep what it does."""
        connection = self.login(role)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def allowed(self, role: str, statements: list[str]) -> list[str]:
        """Those of the statements that are not refused for want of a right; none of them stays done."""
        found = []
        connection = self.login(role)
        for statement in statements:
            try:
                connection.cursor().execute(statement)
                found.append(statement)
            except psycopg2.errors.InsufficientPrivilege:
                pass
            except psycopg2.Error:
                found.append(statement)  # it was let in, and failed for another reason
            connection.rollback()
        connection.close()
        return found

    def relations(self) -> list[str]:
        """Every table and view of the schema, quoted."""
        names = self.sql(
            "postgres",
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'rerank'::regnamespace"
            " AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1",
        )
        return [str(name) for (name,) in names]

    def remove_roles(self) -> None:
        for role in (self.roles.owner, self.roles.source, self.roles.writer, self.roles.frontend):
            if self.sql("postgres", f"SELECT 1 FROM pg_roles WHERE rolname = {literal(role)}"):
                name = identifier(role)
                self.sql("postgres", f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def touching(relation: str, unwritable: set[str]) -> list[str]:
    """A statement for each right on a relation; the lock wants that to update, delete or truncate.

    Nobody can insert into what is unwritable.
    """
    tries = [f"SELECT count(*) FROM {relation}", f"LOCK TABLE {relation} IN ACCESS EXCLUSIVE MODE"]
    if relation not in unwritable:
        tries.append(f"INSERT INTO {relation} DEFAULT VALUES")
    return tries


def printed(roles: Roles, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The script as the command prints it."""
    names = [f"--{option}={getattr(roles, option)}" for option in ("owner", "source", "writer", "frontend")]
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["db", "roles", "--print", *names, *options])
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.fixture
def office(
    postgres: EmbeddedPostgres, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Office]]:
    """Makes a database with roles of its own: script, migrations as the owner, script."""
    process_settings.cache_clear()
    number = next(_numbers)
    # Names that need every kind of quoting.
    roles = Roles(
        owner=f"Owner {number}",
        source=f'so"ur\\ce {number}',
        writer=f"wri'ter % {number}",
        frontend=f"前端;-- {number}",
    )
    made = Office(empty_database_url, roles)

    def make(*options: str) -> Office:
        text = printed(roles, capsys, *options)
        made.sql("postgres", text)
        migrations.upgrade(made.url_of(roles.owner))
        made.sql("postgres", text)
        return made

    yield make
    made.remove_roles()


@pytest.fixture
def newsroom(store_url: str, engines: FakeEngines) -> Callable[[Office], Newsroom]:
    """A newsroom that works as the writer, and claims as the source reader."""

    def make(office: Office, **settings: object) -> Newsroom:
        values = {
            "database_url": office.url_of(office.roles.writer),
            "source_url": office.url_of(office.roles.source),
            "store_url": store_url,
        }
        return Newsroom(Settings.load(**{**values, **settings}), engines)

    return make


def offences(office: Office) -> dict[str, list[str]]:
    """What each role can do and must not."""
    relations = office.relations()
    assert len(relations) > 20
    unwritable = {
        str(name)
        for (name,) in office.sql(
            "postgres",
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'rerank'::regnamespace"
            " AND relkind = 'v' AND pg_relation_is_updatable(oid, false) = 0",
        )
    }
    frontend = [
        statement
        for relation in relations
        for statement in touching(relation, unwritable)
        if not (relation in VIEWS and statement.startswith("SELECT"))
    ]
    source = [
        statement
        for relation in relations
        for statement in touching(relation, unwritable)
        if not (relation == VIEW and statement.startswith("SELECT"))
    ]
    return {
        "frontend": office.allowed(office.roles.frontend, FRONTEND_MUST_NOT + frontend),
        "source": office.allowed(office.roles.source, SOURCE_MUST_NOT + source),
        "writer": office.allowed(office.roles.writer, WRITER_MUST_NOT),
    }


# What runs would take turns by, were it advisory locks: whoever can connect knows the keys.
ADVISORY = {
    "runs.lock_claims": "SELECT pg_advisory_xact_lock(hashtextextended('rerank.claim:' || :pipeline, 0))",
    "publications.lock": "SELECT pg_advisory_xact_lock(hashtextextended('rerank.publish:' || :pipeline, 0))",
    "json_pages.lock": "SELECT pg_advisory_xact_lock(hashtextextended('rerank.pages:' || :pipeline, 0))",
    "maintain.lock": "SELECT pg_advisory_xact_lock(hashtextextended('rerank.maintain', 0))",
}

NONE = {"frontend": [], "source": [], "writer": []}


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
    for file in (db.sql_folder() / "queries").glob("*.sql"):
        statement = file.read_text(encoding="utf-8").replace("{vectors}", "rerank.vector")
        # A clause ends where the next one that writes begins.
        for clause in re.split(r"(?=\b(?:INSERT INTO|DELETE FROM|UPDATE)\s)", statement):
            if written := re.match(r"(INSERT|DELETE|UPDATE)\s(?:INTO |FROM )?rerank\.(\w+)", clause):
                used.setdefault(written[2], set()).add(written[1])
                if clause.split()[-1] == "DO":  # ON CONFLICT … DO UPDATE
                    used[written[2]].add("UPDATE")
    for file in Path(db.__file__).parent.glob("*.py"):
        for name in re.findall(r'copy_in\(\s*connection,\s*"rerank\.(\w+)"', file.read_text("utf-8")):
            used.setdefault(name, set()).add("INSERT")
    used["turn"] = {"INSERT", "UPDATE"}  # by the function take_turn
    used["vector"].add("DELETE")  # by the trigger that forgets the vector of a text
    return used


def test_functions_that_work_with_their_owners_rights_are_for_nobody_before_the_script(
    room: Newsroom,
) -> None:
    found = room.sql(
        "SELECT p.oid::regprocedure::text AS name, p.proconfig AS settings,"
        " EXISTS (SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) AS by_all"
        " FROM pg_proc p WHERE p.pronamespace = 'rerank'::regnamespace AND p.prosecdef ORDER BY 1"
    )
    assert len(found) >= 9
    assert [
        row.name for row in found if row.by_all or row.settings != ["search_path=pg_catalog, pg_temp"]
    ] == []


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


class Frozen:
    """A file that a COPY reads: one row, and then nothing until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def read(self, _: int) -> bytes:
        if self.begun.is_set():
            self.go.wait()
            return b""
        self.begun.set()
        return b"a\n"


def test_the_writer_may_end_a_session_of_its_own_that_is_frozen_in_a_copy(
    office: Callable[..., Office], newsroom: Callable[..., Newsroom], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = office()
    monkeypatch.setattr(db, "IDLE_TIMEOUT", "0s")
    monkeypatch.setattr(db, "COPY_LOOK_SECONDS", 0.1)
    file = Frozen()
    with closing(made.login(made.roles.writer)) as connection, ThreadPoolExecutor(1) as pool:
        cursor = connection.cursor()
        cursor.execute("SET application_name = 'news-rerank'")
        copying = pool.submit(cursor.copy_expert, "COPY rerank.article (article_id) FROM STDIN", file)
        file.begun.wait()
        newsroom(made).database.end_frozen()
        left = made.sql("postgres", "SELECT count(*) FROM pg_stat_progress_copy")
        file.go.set()
        with pytest.raises(psycopg2.OperationalError):
            copying.result()
    assert left == [(0,)]


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


def test_a_database_that_one_role_has_migrated_is_handed_to_the_owner(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    process_settings.cache_clear()
    roles = Roles(**{name: f"taken over {name}" for name in ("owner", "source", "writer", "frontend")})
    made = Office(database_url, roles)
    made.sql("postgres", "SELECT rerank.ensure_month('2031-05-01')")
    text = printed(roles, capsys)
    made.sql("postgres", text)
    owners = made.sql(
        "postgres",
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'rerank'::regnamespace"
        " UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = 'rerank'::regnamespace",
    )
    assert owners == [("taken over owner",)]
    assert offences(made) == NONE
    made.remove_roles()


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


def test_psql_takes_the_script(postgres: EmbeddedPostgres, database_url: str) -> None:
    psql = str(find_binaries() / "psql")
    url = make_url(database_url)
    roles = Roles(owner="psql o", source="psql s", writer="psql w", frontend="psql f")
    done = subprocess.run(
        [psql, "-X", "-v", "ON_ERROR_STOP=1", "-h", url.query["host"], "-U", "postgres", str(url.database)],
        input=script(roles, source_view=VIEW),
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    made = Office(database_url, roles)
    made.remove_roles()


class TestTheFunctions:
    def test_the_pointer_does_not_move_for_a_try_that_a_newer_one_has_overtaken(
        self, office: Callable[..., Office], newsroom: Callable[..., Newsroom]
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar power")
        found = room.run("first")["publish"]
        room.run("second")
        room.sql("UPDATE rerank.run SET fence = fence + 1 WHERE key = 'first'")
        with pytest.raises(psycopg2.Error, match="a newer try has taken over"):
            made.sql(made.roles.writer, f"SELECT rerank.move_pointer('news', {found['publication_id']})")

    def test_the_pointer_does_not_go_back_whoever_asks(
        self, office: Callable[..., Office], newsroom: Callable[..., Newsroom]
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar power")
        old, new = (room.run(key)["publish"]["publication_id"] for key in ("old", "new"))
        assert made.sql(made.roles.writer, f"SELECT rerank.move_pointer('news', {old})") == [(False,)]
        assert room.standing().publication_id == new
        with pytest.raises(psycopg2.Error, match="has no publication"):
            made.sql(made.roles.writer, f"SELECT rerank.move_pointer('shadow', {new})")

    def test_a_move_names_the_role_that_logged_in(
        self, office: Callable[..., Office], newsroom: Callable[..., Newsroom]
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.run()
        assert room.value("SELECT actor FROM rerank.pointer_move") == made.roles.writer

    def test_a_page_is_neither_withdrawn_nor_deleted_nor_replaced_by_another(
        self, office: Callable[..., Office], newsroom: Callable[..., Newsroom]
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar power")
        old, page = (room.run(key)["publish"]["publication_id"] for key in ("old", "page"))
        for refused in (
            f"withdraw_publications(ARRAY[{old}, {page}]::bigint[])",
            f"drop_publication({page})",
        ):
            with pytest.raises(psycopg2.errors.ObjectInUse, match="page"):
                made.sql(made.roles.writer, f"SELECT rerank.{refused}")
        for function in (
            f"replace_pointer('news', {page}, {old}, 'because')",  # not the same one without what was forgotten
            f"rollback_pointer('news', {old}, ' ')",  # no reason
            f"rollback_pointer('shadow', {old}, 'because')",
            f"release_pointer('news', {old}, 'because')",  # nothing holds it
        ):
            assert made.sql(made.roles.writer, f"SELECT * FROM rerank.{function}") == []
        assert room.standing().publication_id == page
        later = room.run("old")["publish"][
            "publication_id"
        ]  # of the same run, and nothing of it was forgotten
        made.sql(made.roles.writer, f"SELECT rerank.rollback_pointer('news', {old}, 'because')")
        replace = f"SELECT * FROM rerank.replace_pointer('news', {old}, {later}, 'because')"
        assert made.sql(made.roles.writer, replace) == []
        made.sql(made.roles.writer, f"SELECT rerank.release_pointer('news', {page}, 'because')")
        assert made.sql(made.roles.writer, f"SELECT rerank.drop_publication({old})") == [(True,)]
        assert made.sql(made.roles.writer, f"SELECT rerank.drop_publication({old})") == [(False,)]

    def test_only_old_months_of_the_ledger_can_be_dropped(self, office: Callable[..., Office]) -> None:
        made = office()
        for month in ("now()", "now() - interval '1 month'", "now() + interval '3 months'"):
            with pytest.raises(psycopg2.errors.ObjectInUse, match="still in use"):
                made.sql(made.roles.writer, f"SELECT rerank.drop_month(({month})::date)")
        made.sql(made.roles.writer, "SELECT rerank.ensure_month('2020-02-29')")
        assert made.sql(made.roles.writer, "SELECT rerank.drop_month('2020-02-01')") == [(True,)]
        assert made.sql(made.roles.writer, "SELECT rerank.drop_month('2020-02-01')") == [(False,)]

    def test_a_table_that_only_looks_like_a_month_is_not_dropped(self, office: Callable[..., Office]) -> None:
        made = office()
        made.sql(made.roles.owner, "CREATE TABLE rerank.pair_score_2019_01 (a int)")
        assert made.sql(made.roles.writer, "SELECT rerank.drop_month('2019-01-01')") == [(False,)]
        assert made.sql("postgres", "SELECT to_regclass('rerank.pair_score_2019_01') IS NOT NULL") == [
            (True,)
        ]

    def test_every_function_with_its_owners_rights_fixes_its_search_path(self, database_url: str) -> None:
        found = Office(database_url, Roles()).sql(
            "postgres",
            "SELECT proname, proconfig, proacl::text FROM pg_proc WHERE prosecdef AND pronamespace = 'rerank'::regnamespace",
        )
        assert {name for name, *_ in found} >= {"move_pointer", "ensure_month", "drop_month"}
        for name, settings, rights in found:
            assert settings == ["search_path=pg_catalog, pg_temp"], name
            assert not str(rights).startswith("{="), f"PUBLIC may call {name}"
            assert rights is not None, f"PUBLIC may call {name}"


class TestNobodyElseHoldsUpAPublication:
    """What a role that only reads can hold on to keeps no run waiting, and no clean-up."""

    @contextmanager
    def hold(self, office: Office, who: str) -> Iterator[None]:
        """All that such a role can hold on to, in a transaction that does not end."""
        role, views = {
            "frontend": (office.roles.frontend, sorted(VIEWS)),
            "source": (office.roles.source, [VIEW]),
        }[who]
        with closing(office.login(role)) as holder, holder.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            for view in views:
                cursor.execute(f"LOCK TABLE {view} IN ACCESS SHARE MODE; SELECT * FROM {view}")
            for statement in ADVISORY.values():
                cursor.execute(statement.replace(":pipeline", "'news'"))
            yield

    @pytest.mark.parametrize("who", ["frontend", "source"])
    def test_whatever_a_reader_holds_runs_and_clean_ups_go_on(
        self,
        office: Callable[..., Office],
        newsroom: Callable[..., Newsroom],
        monkeypatch: pytest.MonkeyPatch,
        who: str,
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar one")
        room.run("first")
        monkeypatch.setattr(db, "LOCK_TIMEOUT", "300ms")
        with self.hold(made, who):
            room.add("solar two")
            assert room.run("second")["publish"]["is_current"]
            made.sql(
                "postgres",
                "SELECT rerank.ensure_month('2020-01-01'); UPDATE rerank.publication SET published_at = now() - interval '9 years';"
                " UPDATE rerank.pointer_move SET moved_at = now() - interval '9 years'",
            )
            done = maintain.maintain(
                database=room.database, store=room.resources.store, settings=room.settings
            )
            assert (done.publications_deleted, done.months_dropped) == (1, 1)
        turns = ["SELECT * FROM rerank.turn FOR UPDATE", "SELECT rerank.take_turn('publish news')"]
        assert made.allowed(getattr(made.roles, who), turns) == []

    @pytest.mark.parametrize("stage", ["extract", "publish"])
    def test_control_an_advisory_lock_is_anybodys(
        self,
        office: Callable[..., Office],
        newsroom: Callable[..., Newsroom],
        monkeypatch: pytest.MonkeyPatch,
        stage: str,
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar one")
        monkeypatch.setattr(db, "LOCK_TIMEOUT", "300ms")
        statement_replaced(monkeypatch, f"{stage}_lock", ADVISORY[f"{stage}_lock"])
        with self.hold(made, "frontend"), pytest.raises(DatabaseUnavailable, match="lock timeout"):
            room.run("first")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "name", ["", "x" * 64, "前" * 22, "a\nb", "a\0b", "a$b", "pg_mine", "PUBLIC", "none"]
    )
    def test_a_name_that_cannot_be_a_roles(self, name: str) -> None:
        with pytest.raises(InputError, match="--writer"):
            script(Roles(writer=name), source_view=VIEW)

    def test_two_roles_of_one_name(self) -> None:
        with pytest.raises(InputError, match="are not four"):
            script(Roles(writer="a", owner="a"), source_view=VIEW)

    def test_a_superuser_as_writer(self, office: Callable[..., Office]) -> None:
        made = office()
        with pytest.raises(psycopg2.Error, match="role postgres is a superuser"):
            made.sql("postgres", script(Roles(owner=made.roles.owner, writer="postgres"), source_view=VIEW))

    def test_a_frontend_that_belongs_to_the_owner(self, office: Callable[..., Office]) -> None:
        made = office()
        owner, frontend = identifier(made.roles.owner), identifier(made.roles.frontend)
        made.sql("postgres", f"GRANT {owner} TO {frontend}")
        with pytest.raises(psycopg2.Error, match="belongs to the owner"):
            made.sql("postgres", script(made.roles, source_view=VIEW))

    def test_no_option_at_all(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["db", "roles"])
        assert ended.value.code == 1
        assert "--print" in capsys.readouterr().err


def test_a_source_of_the_users_own_is_granted_and_one_that_is_elsewhere_is_told(
    database_url: str,
) -> None:
    roles = Roles(**{name: f"mapped {name}" for name in ("owner", "source", "writer", "frontend")})
    made = Office(database_url, roles)
    made.sql("postgres", 'CREATE SCHEMA "wire"; CREATE VIEW wire.story AS SELECT 1 AS article_id')
    made.sql("postgres", script(roles, source_view="Wire.Story"))
    assert made.sql(roles.source, "SELECT * FROM wire.story") == [(1,)]
    assert made.allowed(roles.source, ["SELECT * FROM rerank.source_article"]) == []
    made.remove_roles()
