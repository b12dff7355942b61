"""No command prints a secret of a setting: neither when it lists the settings, nor when what a setting names is away."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from canaries import CANARY, FILES, FORMS, SECRET, told, variables
from command_line import Rerank

from rerank_core.cli.checks import _shown
from rerank_core.storage.database import Database

COMMANDS = (
    ("settings",),
    ("doctor",),
    ("db", "upgrade"),
    ("topics", "list"),
    ("runs",),
    ("show",),
    ("run",),
    ("maintain",),
    ("block", "a", "--reason", "r"),
    ("forget", "a", "--reason", "r"),
    ("redis", "sync"),
    ("scorer", "list"),
)
AWAY = {  # each is well formed, and nobody answers
    "database_url": f"postgresql://ada:{CANARY}@127.0.0.1:9/news?sslpassword={CANARY}",
    "source_url": f"postgresql://ada:{CANARY}@127.0.0.1:9/news",
    "store_url": f"s3://KEY:{CANARY}@bucket/x?endpoint_override=127.0.0.1:9&scheme=http",
    "redis_url": f"redis://ada:{CANARY}@127.0.0.1:9/0",
    "milvus_url": f"http://ada:{CANARY}@127.0.0.1:9",
    "recall": "milvus",
    "model": "owner/name",
    "redis_timeout_seconds": "1",
}


@pytest.mark.parametrize("form", FORMS)
def test_the_list_of_settings_shows_no_secret_wherever_it_is(form: str) -> None:
    values: tuple[object, ...] = (form, Path(form), (form,))
    assert not any(CANARY in _shown(variable, value) for variable in variables() for value in values)


@pytest.mark.parametrize("variable", [*sorted(SECRET), *FILES])
def test_the_command_lists_the_settings_without_their_secrets(
    rerank: Rerank, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    leaks = []
    for form in FORMS:
        monkeypatch.setenv(variable, form)
        ended = rerank("settings")
        if CANARY in ended.out + ended.err:
            leaks.append(form)
    assert leaks == []


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_command_shows_a_secret_of_what_is_away(
    rerank: Rerank,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    arguments: tuple[str, ...],
) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "VLLM_API_KEY"):
        monkeypatch.setenv(name, CANARY)
    with caplog.at_level("DEBUG", "rerank_core"):
        ended = rerank(*arguments, **AWAY)
    assert CANARY not in ended.out + ended.err + caplog.text
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("arguments", [("doctor",), ("maintain",), ("run",)], ids=" ".join)
def test_no_command_shows_a_secret_of_what_is_away_beside_a_database_that_answers(
    page: Rerank, caplog: pytest.LogCaptureFixture, arguments: tuple[str, ...]
) -> None:
    for left_out in ("store_url", "redis_url", "milvus_url"):
        away = {name: value for name, value in AWAY.items() if name not in ("database_url", left_out)}
        with caplog.at_level("DEBUG"):
            ended = page(*arguments, **away)
        assert CANARY not in ended.out + ended.err + caplog.text


@pytest.fixture
def parrot() -> Iterator[int]:
    """The port of a server that repeats what it does not know, as an old Redis repeats the AUTH of a newer client."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                asked = connection.recv(4096).decode()
                words = [word for word in asked.split("\r\n") if word and word[0] not in "*$"]
                args = ", ".join(f"`{word}`" for word in words[1:])
                connection.sendall(
                    f"-ERR unknown command `{words[0]}`, with args beginning with: {args}, \r\n".encode()
                )
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_server_that_repeats_a_password_does_not_bring_it_into_a_message(page: Rerank, parrot: int) -> None:
    ended = page("redis", "sync", redis_url=f"redis://ada:{CANARY}@127.0.0.1:{parrot}/0")
    assert ended.code != 0
    assert "unknown command" in ended.err
    assert CANARY not in ended.out + ended.err


def test_a_statement_that_fails_prints_no_row(page: Rerank, database_url: str, tmp_path: Path) -> None:
    with Database(database_url).transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE rerank.article ADD CHECK (title <> 'odd')")
    file = tmp_path / "odd.jsonl"
    file.write_text(json.dumps({"id": "x", "title": "odd", "body": CANARY}))
    for debug in ("0", "1"):
        try:
            ended = page("articles", "load", str(file), debug=debug)
        except BaseException as error:  # RERANK_DEBUG shows the traceback
            said = told(error)
        else:
            said = ended.out + ended.err
        assert "violates check constraint" in said
        assert CANARY not in said
