"""What a run would do, without a trace."""

import pytest
from factories import Newsroom

from rerank_core.errors import InputError
from rerank_core.models import scorers
from rerank_core.operations.plan import plan


def everything(room: Newsroom) -> dict[str, int]:
    """Rows of every table."""
    names = room.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'rerank' ORDER BY 1")
    return {row.tablename: room.value(f"SELECT count(*) FROM rerank.{row.tablename}") for row in names}


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake has no tokenizer; a prompt is counted by its words."""

    class Words:
        def prompt(self, *, instruction: str, query: str, document: str) -> object:
            return type("Prompt", (), {"tokens": len([*query.split(), *document.split()])})

    monkeypatch.setattr(scorers, "prompter", lambda settings: Words())


def test_it_counts_what_the_run_then_does(room: Newsroom) -> None:
    room.follow("solar", "wind")
    room.add("solar 1", "solar 2", "wind 3")
    planned = plan(room.resources)
    assert (planned.articles, planned.topics, planned.pairs) == (3, 2, 6)
    assert (planned.in_ledger, planned.left_out) == (0, 0)
    assert (planned.tokens, planned.seconds) == (6 * 3, None)
    results = room.run()
    assert results["extract"]["claimed"] == planned.articles
    assert results["rerank[0]"]["scored"] == planned.pairs
    room.add("wind 4")
    planned = plan(room.resources)
    assert (planned.articles, planned.pairs) == (1, 2)
    assert planned.seconds is not None


def test_nothing_of_it_stays(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    before = everything(room)
    plan(room.resources)
    assert everything(room) == before
    assert room.run()["extract"]["claimed"] == 1
    assert everything(room) != before


def test_it_knows_when_there_is_nothing_to_do(room: Newsroom) -> None:
    planned = plan(room.resources)
    assert (planned.articles, planned.topics, planned.pairs) == (0, 0, 0)
    assert (planned.tokens, planned.seconds) == (0, 0.0)


def test_it_leaves_no_trace_when_it_fails(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    before = everything(room)
    with pytest.raises(InputError):
        plan(room.resources, topics=("unknown",))
    assert everything(room) == before
