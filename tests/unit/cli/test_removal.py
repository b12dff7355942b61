"""`rerank block` and `forget` say when they hide nothing: a misspelt id or pipeline is not passed over."""

import pytest
from command_line import Rerank

from rerank_core.storage.database import Database


@pytest.mark.parametrize("command", ["block", "forget"])
def test_nothing_is_taken_away_in_a_pipeline_that_is_not_there(
    page: Rerank, database_url: str, command: str
) -> None:
    ended = page(command, "en-1", "--reason", "a letter", "--pipeline", "new")
    assert (ended.code, ended.err) == (
        1,
        "rerank: pipeline 'new' has no topics and no runs (perhaps 'news' is meant); those with some are news\n",
    )
    with Database(database_url).transaction(read_only=True) as connection:
        for table in ("block", "tombstone"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM rerank.{table}").scalar() == 0


def test_blocking_an_id_that_no_run_has_claimed_says_that_nothing_is_hidden(page: Rerank) -> None:
    ended = page("block", "en-9", "--reason", "a letter")
    assert (ended.code, ended.out) == (
        0,
        "article en-9 is hidden in pipeline news: no run has claimed an article of this id: nothing is hidden now;"
        " check the id\n",
    )


def test_forgetting_an_id_that_nobody_knows_says_so(page: Rerank) -> None:
    first = page("forget", "no-such-article", "--reason", "a letter")
    assert (first.code, "nobody has claimed an article of this id" in first.out) == (0, True)
    again = page("forget", "no-such-article", "--reason", "a letter")
    assert "nobody has claimed" not in again.out


def test_forgetting_says_what_is_due_and_what_it_cannot_reach(page: Rerank) -> None:
    page("run")
    ended = page("forget", "en-1", "--reason", "a letter")
    assert ended.code == 0
    lines = ended.out.splitlines()
    due = [line for line in lines if line.startswith("due for deletion at ")]
    assert [line.rpartition(".")[2] for line in due if line.endswith(".parquet")] == ["parquet"]
    assert [line for line in due if "/news/pages/" in line and line.endswith("/")]
    assert "What this command cannot reach:" in lines
    assert any(line.startswith("- backups and replicas of the database") for line in lines)
