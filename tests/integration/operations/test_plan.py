"""What a run would do, without a trace."""

import pytest
from factories import Newsroom

from rerank_core.errors import InputError
from rerank_core.models import scorers
from rerank_core.operations.plan import plan

LIMIT = 4  # words of a document


def everything(room: Newsroom) -> dict[str, int]:
    """Rows of every table."""
    names = room.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'rerank' ORDER BY 1")
    return {row.tablename: room.value(f"SELECT count(*) FROM rerank.{row.tablename}") for row in names}


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake has no tokenizer; a prompt is counted by its words."""

    class Words:
        def prompt(self, *, instruction: str, query: str, document: str) -> object:
            words = document.split()
            read = min(len(words), LIMIT)
            return type("Prompt", (), {"tokens": len(query.split()) + read, "truncated": read < len(words)})

        def count_cut(self, document: str) -> int:
            return len(document.split()) - LIMIT

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
    assert planned.cached == 0  # the fake has no prefix cache


def test_it_counts_what_is_cut_and_what_the_prefix_cache_will_serve(room: Newsroom) -> None:
    room.follow("solar", "wind")
    room.add("solar 1", "wind two three four five six")
    planned = plan(room.resources)
    assert planned.pairs == 4
    assert planned.tokens == 2 * (1 + 2) + 2 * (1 + LIMIT)
    assert (planned.cut_pairs, planned.cut_tokens, planned.cached) == (2, 2, None)  # a document counts once
    run_id = room.run()["extract"]["run_id"]
    room.sql(
        "UPDATE rerank.run_metric SET value = 0.25 * (SELECT value FROM rerank.run_metric m"
        " WHERE m.run_id = :run_id AND m.stage = 'rerank[0]' AND m.name = 'prompt_tokens')"
        " WHERE run_id = :run_id AND stage = 'rerank[0]' AND name = 'cached_tokens'",
        run_id=run_id,
    )
    room.add("solar new")
    planned = plan(room.resources)
    assert (planned.tokens, planned.cached) == (2 * (1 + 2), round(0.25 * 6))


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
