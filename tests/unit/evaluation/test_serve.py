"""Names of the model, the address, and the guard of the prompt; a real server is started in tests/engine/test_serve.py."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rerank_core.errors import InputError
from rerank_core.evaluation import serve
from rerank_core.models.prompt import Prompter
from rerank_core.settings import DEMO_CHECKPOINT

HUB = "Qwen/Qwen3-Reranker-0.6B"
SHORT = "Qwen3-Reranker-0.6B"


@pytest.mark.parametrize("model", [HUB, f"{HUB}@main"])
def test_a_hub_name_is_served_with_and_without_its_owner(model: str, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--Qwen--Qwen3-Reranker-0.6B" / "snapshots" / "abc"
    called = serve.names(model, snapshot)
    assert {model, HUB, SHORT} <= set(called)
    assert "abc" not in called
    assert not any(str(tmp_path) in name for name in called)


def test_a_folder_is_served_by_its_path_and_name(tmp_path: Path) -> None:
    folder = tmp_path / SHORT
    folder.mkdir()
    called = serve.names(f"{folder}/", folder.resolve())
    assert {SHORT, str(folder)} <= set(called)
    assert len(set(called)) == len(called)
    assert "" not in called


def test_a_folder_of_the_hubs_cache_is_served_by_its_name_on_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "models--Qwen--Qwen3-Reranker-0.6B" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    assert {HUB, SHORT} <= set(serve.names(str(folder), folder))


def test_a_link_is_served_by_its_own_name_and_that_of_its_folder(tmp_path: Path) -> None:
    folder, link = tmp_path / SHORT, tmp_path / "current"
    folder.mkdir()
    link.symlink_to(folder)
    assert {"current", SHORT} <= set(serve.names(str(link), link.resolve()))


def test_given_names_come_first_and_once(tmp_path: Path) -> None:
    called = serve.names(str(tmp_path), tmp_path, ["reranker", SHORT, "reranker", tmp_path.name])
    assert called[:3] == ("reranker", SHORT, tmp_path.name)
    assert len(set(called)) == len(called)


def test_an_address_that_is_open_to_others_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(serve.KEY, raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.7", "example.org"):
        with pytest.raises(InputError, match=serve.KEY):
            serve.listen(host, 0)
    serve.listen("127.0.0.1", 0).close()
    monkeypatch.setenv(serve.KEY, "secret")
    serve.listen("0.0.0.0", 0).close()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1:{port} cannot be served on"):
            serve.listen("127.0.0.1", port)


def test_a_server_keeps_the_ids_of_no_long_text_and_of_few_short_ones() -> None:
    """Otherwise strangers would fill the memory of a server that runs for months."""
    prompter = Prompter(DEMO_CHECKPOINT / "tokenizer.json", max_document_tokens=64, cached_texts=8)

    def ask(document: str) -> None:
        prompter.prompt(instruction="i", query="q", document=document)

    for number in range(20):
        ask(f"text {number}")
    assert prompter._cached_text.cache_info().currsize == 8
    before = prompter._cached_text.cache_info().misses
    ask("long " * 20_000)
    assert prompter._cached_text.cache_info().misses == before


SERVED = """
import signal, sys
sys.path.insert(0, sys.argv[1])
from served import FakeScorer
from rerank_core.evaluation import serve
from rerank_core.models import scorers
serve.require_vllm = lambda work: None
scorers.load = lambda settings, **_: FakeScorer()
from rerank_core.cli import main
main(["serve", "--port", "0", "--name", "any"])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_in_order(number: int) -> None:
    tests = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", SERVED, tests]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(3)]
        assert "the canary came out right; http://127.0.0.1:" in told[1]
        assert told[2].startswith("the model's names: any, ")
        process.send_signal(number)
        assert process.wait(30) == 0
