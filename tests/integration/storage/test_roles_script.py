"""The script of roles: psql takes it, it may be repeated, and it refuses names and roles that would open a hole."""

import subprocess
from collections.abc import Callable

import psycopg2
import psycopg2.errors
import pytest
from role_office import NONE, VIEW, Office, offences, printed
from sqlalchemy import make_url

from rerank_core.cli import main
from rerank_core.demo.postgres import EmbeddedPostgres, find_binaries
from rerank_core.errors import InputError
from rerank_core.storage.roles import Roles, identifier, script


def test_a_database_that_one_role_has_migrated_is_handed_to_the_owner(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    roles = Roles(**{name: f"taken over {name}" for name in ("owner", "source", "writer", "frontend")})
    made = Office(database_url, roles)
    made.sql("postgres", "SELECT rerank.ensure_month('2021-05-01')")
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
        made.sql("postgres", f"REVOKE {frontend} FROM {owner}; GRANT {owner} TO {frontend}")
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
    made.sql("postgres", 'CREATE VIEW wire."Story. 2" AS SELECT 2 AS article_id')
    made.sql("postgres", script(roles, source_view='Wire."Story. 2"'))
    assert made.sql(roles.source, 'SELECT * FROM wire."Story. 2"') == [(2,)]
    assert made.allowed(roles.source, ["SELECT * FROM rerank.source_article"]) == []
    made.remove_roles()
