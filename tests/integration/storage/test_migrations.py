"""Migrations apply once, and make exactly the schema that is written down in schema.txt."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from factories import Newsroom
from schema_catalog import SCHEMA, described
from sqlalchemy import text

from rerank_core.cli import main
from rerank_core.errors import SettingsError
from rerank_core.storage import migrations
from rerank_core.storage.database import Database


def test_migrations_apply_once_and_a_second_time_does_nothing(empty_database_url: str) -> None:
    assert migrations.upgrade(empty_database_url) == (None, migrations.head_revision())
    assert migrations.upgrade(empty_database_url) == (migrations.head_revision(), migrations.head_revision())
    assert migrations.revision(Database(empty_database_url)) == migrations.head_revision()


def test_two_upgrades_at_once_both_succeed_and_one_of_them_does_the_work(empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        found = [
            job.result() for job in [threads.submit(migrations.upgrade, empty_database_url) for _ in range(2)]
        ]
    assert sorted(found, key=str) == sorted(
        [(None, migrations.head_revision()), (migrations.head_revision(), migrations.head_revision())],
        key=str,
    )


def test_the_command_says_what_a_newer_schema_asks_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)

    def upgraded() -> str:
        with pytest.raises(SystemExit):
            main(["db", "upgrade"])
        return " ".join(capsys.readouterr().out.split())

    said = upgraded()
    assert "already" in said
    assert "no task" not in said
    monkeypatch.setattr(migrations, "upgrade", lambda _, **__: ("0001", "0002"))
    said = upgraded()
    assert "schema brought from 0001 to 0002" in said
    assert "no task of the version before may work beside this one" in said


def test_an_empty_database_has_no_revision(empty_database_url: str) -> None:
    assert migrations.revision(Database(empty_database_url)) is None


def of(url: str) -> str:
    """The schema of this database as text."""
    with Database(url).transaction(read_only=True) as connection:
        return described(connection)


def test_the_migrations_make_the_schema_that_is_written_down(empty_database_url: str) -> None:
    """After a wanted change: `python tests/schema_catalog.py` writes the file again; read its difference."""
    migrations.upgrade(empty_database_url)
    assert of(empty_database_url).splitlines() == SCHEMA.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE rerank.topic ADD COLUMN more text",
        "ALTER TABLE rerank.topic_version ALTER COLUMN min_score SET DEFAULT 0",
        "ALTER TABLE rerank.run ALTER COLUMN opened_by SET NOT NULL",
        "ALTER TABLE rerank.ranking DROP CONSTRAINT ranking_check",
        "DROP INDEX rerank.gate_run",
        "COMMENT ON TABLE rerank.turn IS 'another'",
        "GRANT EXECUTE ON FUNCTION rerank.take_turn(text) TO PUBLIC",
        "DROP TRIGGER topic_version_is_immutable ON rerank.topic_version",
        "ALTER FUNCTION rerank.drop_month(date) SECURITY INVOKER",
    ],
)
def test_control_a_changed_schema_reads_differently(room: Newsroom, change: str) -> None:
    with room.database.transaction() as connection:
        before = described(connection)
        connection.execute(text(change))
        assert described(connection) != before
        connection.rollback()


@pytest.mark.parametrize(
    ("revision", "told"),
    [
        (
            "0015",
            "at revision 0015: .*upgrade first with the last version that brought the steps from 0001 to 0019",
        ),
        ("0900", "at revision 0900: a newer news-rerank made it; install that version"),
    ],
)
def test_a_revision_that_this_version_does_not_know_is_refused_with_what_to_do(
    database_url: str, revision: str, told: str
) -> None:
    with Database(database_url).transaction() as connection:
        connection.execute(
            text("UPDATE rerank.alembic_version SET version_num = :found"), {"found": revision}
        )
    with pytest.raises(SettingsError, match=told):
        migrations.upgrade(database_url)
    assert migrations.revision(Database(database_url)) == revision
