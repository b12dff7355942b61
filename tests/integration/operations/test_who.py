"""Who did something is a person, beside the role that logged in: in every table that keeps who acted."""

from typing import Any

import pytest
from factories import Newsroom

from rerank_core import cli
from rerank_core.errors import InputError
from rerank_core.storage.database import asked_by

ACTS = {
    "run": ["run", "--key", "second"],
    "editorial_act": ["pin", "solar 1", "--topic", "solar", "--until", "6h", "--reason", "election"],
    "block": ["block", "solar 2", "--reason", "wrong"],
    "tombstone": ["forget", "solar 3", "--reason", "asked to"],
    "pointer_move": ["publish", "--rollback", "RUN", "--reason", "wrong model"],
}


@pytest.fixture
def desk(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> Newsroom:
    """A newsroom with a page, and a command line that works on it."""
    monkeypatch.setenv("RERANK_DATABASE_URL", room.settings.database_url)
    monkeypatch.setenv("RERANK_STORE_URL", room.settings.store_url)
    room.follow("solar")
    room.add("solar 1", "solar 2", "solar 3")
    room.run()
    return room


def newest(desk: Newsroom) -> int:
    return int(desk.value("SELECT max(run_id) FROM rerank.run"))


def type_in(desk: Newsroom, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(newest(desk)) if word == "RUN" else word for word in words])
    return int(ended.value.code or 0)


def latest(desk: Newsroom, table: str) -> Any:
    actor = "opened_by" if table == "run" else "actor"
    rows = desk.sql(
        f"SELECT {actor}, on_behalf_of FROM rerank.{table} ORDER BY xmin::text::bigint DESC LIMIT 1"
    )
    return rows[0]


@pytest.mark.parametrize("table", ACTS)
def test_the_person_is_kept_beside_the_role(
    desk: Newsroom, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = desk.value("SELECT session_user")
    monkeypatch.setenv("RERANK_ASKED_BY", "anna")
    assert type_in(desk, "--as", " bert ", *ACTS[table]) == 0
    assert latest(desk, table) == (role, "bert")


def test_a_shell_says_it_once_and_a_command_that_says_nothing_forges_nobody(
    desk: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_in(desk, *ACTS["pointer_move"]) == 0
    assert latest(desk, "pointer_move")[1] is None
    monkeypatch.setenv("RERANK_ASKED_BY", "anna")
    assert type_in(desk, "publish", "--release") == 0
    assert latest(desk, "pointer_move")[1] == "anna"
    assert "moved by postgres for anna" in capsys.readouterr().out
    monkeypatch.delenv("RERANK_ASKED_BY")
    assert type_in(desk, *ACTS["editorial_act"]) == 0
    assert type_in(desk, "--as", "carl", "undo", "solar 1", "--topic", "solar") == 0
    assert desk.sql("SELECT on_behalf_of, undone_for FROM rerank.editorial_act") == [(None, "carl")]


def test_an_approval_names_the_user_of_airflow_first(desk: Newsroom) -> None:
    from rerank_core.publish import gate

    with asked_by("anna"), desk.database.transaction() as connection:
        gate.decide(connection, newest(desk), "approved", "fine", fence=1)
        gate.decide(connection, newest(desk), "approved", "fine", fence=1, on_behalf_of="ada")
    assert [row[0] for row in desk.sql("SELECT on_behalf_of FROM rerank.gate ORDER BY gate_id")] == [
        "anna",
        "ada",
    ]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\x1b[31m"])
def test_what_is_no_name_is_refused(desk: Newsroom, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="who asks is"), asked_by(name):
        pass
    assert type_in(desk, "--as", name, "runs") == 1
    assert "who asks is" in capsys.readouterr().err
