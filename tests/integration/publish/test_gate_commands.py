"""What the commands say of a blocked run, and what they do with it."""

import pytest
from factories import Newsroom
from gated import blocked_run

from rerank_core.cli import main
from rerank_core.settings import Settings


def test_the_commands_tell_of_a_block_and_approve_it(
    standing: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    standing.flood("new")
    bad = blocked_run(standing)
    run_id = str(bad["run_id"])
    monkeypatch.setattr(Settings, "load", lambda **_: standing.settings)

    def command(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((said.out + said.err).split())

    way = f"rerank publish --approve {run_id} --pipeline news"
    code, said = command("runs")
    assert (code, "published, blocked" in said) == (0, True)
    assert f"run {run_id} is blocked: spread: the 210 logits deviate by 0" in said
    assert way in said
    code, said = command("show", "solar")
    assert (code, "the gate has blocked this run: spread" in said, way in said) == (0, True, True)
    assert command("publish", "--approve", run_id) == (
        1,
        f"rerank: approving run {run_id} needs a reason, for whoever looks later; give --reason",
    )
    code, said = command("publish", "--approve", run_id, "--reason", "all the same news")
    assert code == 0
    assert (
        f"run {run_id} is approved: its scores count again. It is published as version 2, which is the page now"
        in said
    )
    assert command("publish", "--approve", run_id, "--reason", "again") == (
        0,
        f"run {run_id} was approved and published before; there is nothing to do",
    )
    assert "the gate has blocked" not in command("show", "solar")[1]
    assert f"run {run_id} was blocked, and approved: all the same news" in command("runs")[1]
    code, said = command("publish", "--approve", "1", "--release")
    assert code == 2
    assert "give one of --rollback RUN, --approve RUN and --release" in said


def test_the_command_run_prints_its_table_and_ends_with_the_gates_sentence(
    standing: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    standing.flood("new")
    standing.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
    monkeypatch.setattr(Settings, "load", lambda **_: standing.settings)
    with pytest.raises(SystemExit) as ended:
        main(["run", "--key", "bad"])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "observe" in said.out
    assert "rerank: the gate blocks run" in said.err
