"""A database with the four roles of `rerank db roles`, and a list of what each of them must not do."""

from dataclasses import dataclass

import psycopg2
import psycopg2.errors
import pytest
from sqlalchemy import make_url

from rerank_core.cli import main
from rerank_core.storage.roles import Roles, identifier, literal

VIEW = "rerank.source_article"
MEDIA = "rerank.source_media"


VIEWS = {
    "rerank.current_ranking",
    "rerank.recent_ranking",
    "rerank.current_topic",
    "rerank.recent_change",
}


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
        if not (relation in {VIEW, MEDIA} and statement.startswith("SELECT"))
    ]
    return {
        "frontend": office.allowed(office.roles.frontend, FRONTEND_MUST_NOT + frontend),
        "source": office.allowed(office.roles.source, SOURCE_MUST_NOT + source),
        "writer": office.allowed(office.roles.writer, WRITER_MUST_NOT),
    }


NONE = {"frontend": [], "source": [], "writer": []}
