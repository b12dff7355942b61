"""Continuous submission, over an engine that is a list: what is inside when, and what happens when it fails."""

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rerank_core.errors import EngineError, InputError
from rerank_core.models import submission
from rerank_core.models.base import ChunkFailed
from rerank_core.models.prompt import Prompt
from rerank_core.models.submission import Submission
from rerank_core.records import Pair


class WordPrompter:
    """One token a word of the document, its windows separated by "|"; "refuse" is refused."""

    def prompt(self, *, instruction: str, query: str, document: str) -> Prompt:
        if document == "refuse":
            raise InputError("told to")
        first, *further = ([len(word) for word in window.split()] for window in document.split("|"))
        return Prompt(first, False, "label" in document, tuple(further))


@dataclass
class ListEngine:
    """Answers two requests a step, the newest first; the logit is the sum of the ids."""

    inside: dict[str, list[int]] = field(default_factory=dict)
    most_inside: int = 0
    order: list[str] = field(default_factory=list)
    before_step: Callable[[int], None] = lambda number: None
    steps: int = 0

    def add_request(self, request_id: str, prompt: Any, params: Any) -> str:
        self.inside[request_id] = prompt["prompt_token_ids"]
        self.order.append(request_id)
        self.most_inside = max(self.most_inside, sum(map(len, self.inside.values())))
        return f"{request_id}-internal"

    def step(self) -> list[Any]:
        self.before_step(self.steps)
        self.steps += 1
        return [
            self.answer(request_id, sum(self.inside.pop(request_id))) for request_id in [*self.inside][:-3:-1]
        ]

    cached: int = 0  # of each prompt

    def answer(self, request_id: str, logit: float) -> Any:
        data = SimpleNamespace(item=lambda: logit)
        return SimpleNamespace(
            request_id=request_id,
            finished=True,
            outputs=SimpleNamespace(data=data),
            num_cached_tokens=self.cached,
            error=None,
        )

    def abort_request(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            del self.inside[request_id]


def make_pairs(documents: Sequence[str], *, queries: Sequence[str] = ("q",)) -> list[Pair]:
    return [
        Pair(q, d, date(2026, 11, 1), "i", query, document)
        for d, document in enumerate(documents)
        for q, query in enumerate(queries)
    ]


def make_submission(engine: ListEngine, **limits: int) -> Submission:
    prompter: Any = WordPrompter()
    return Submission(
        engine,
        parameters=None,
        prompter=prompter,
        **{"max_prompt_tokens": 20, "least_tokens": 8, "most_tokens": 16, **limits},
    )


WORDS = ["a " * (1 + n % 4) for n in range(30)]


def test_every_pair_comes_back_once_in_order_of_the_input() -> None:
    pairs = make_pairs(WORDS)
    (chunk,) = make_submission(ListEngine()).score(pairs, flush_seconds=math.inf, deadline=None)
    assert [score.pair for score in chunk.scores] == pairs
    assert [score.logit for score in chunk.scores] == [1 + n % 4 for n in range(30)]


def test_pairs_go_in_as_they_are_given() -> None:
    engine = ListEngine()
    pairs = make_pairs(["a", "aa", "aaa"], queries=["x", "y"])
    chunks = make_submission(engine, most_tokens=1, least_tokens=1).score(
        pairs, flush_seconds=1e-9, deadline=None
    )
    assert [score.pair for chunk in chunks for score in chunk.scores] == pairs


def test_no_more_is_inside_than_allowed_and_never_less_than_one_pair() -> None:
    engine = ListEngine()
    list(make_submission(engine).score(make_pairs(WORDS), flush_seconds=math.inf, deadline=None))
    assert 8 <= engine.most_inside <= 16 + 3
    narrow = ListEngine()
    wide = make_pairs(["a " * 10] * 4)
    list(make_submission(narrow, most_tokens=1).score(wide, flush_seconds=math.inf, deadline=None))
    assert narrow.most_inside == 10


def test_a_slow_engine_is_filled_with_about_a_second_of_work() -> None:
    engine = ListEngine(before_step=lambda number: time.sleep(0.02))
    work = make_submission(engine, least_tokens=2, most_tokens=10_000)
    list(work.score(make_pairs(WORDS * 20), flush_seconds=0.2, deadline=None))
    assert engine.most_inside < 100  # 0.1 s of work at 2 pairs in 0.02 s


def test_cached_tokens_do_not_make_the_engine_look_slow() -> None:
    def most_inside(cached: int) -> int:
        engine = ListEngine(before_step=lambda number: time.sleep(0.02), cached=cached)
        work = make_submission(engine, least_tokens=2, most_tokens=10_000)
        list(work.score(make_pairs(["a " * 10] * 60), flush_seconds=1.0, deadline=None))
        return engine.most_inside

    assert most_inside(9) > most_inside(0) / 2


def test_prompts_are_built_ahead_in_a_thread_and_not_all_at_once() -> None:
    built: list[str] = []
    threads: set[str] = set()
    at_first_step: list[int] = []

    class Watched(WordPrompter):
        def prompt(self, *, instruction: str, query: str, document: str) -> Prompt:
            built.append(document)
            threads.add(threading.current_thread().name)
            return super().prompt(instruction=instruction, query=query, document=document)

    def first_step(number: int) -> None:
        if number == 0:
            until = time.monotonic() + 10  # the thread goes on while the engine steps
            while len(built) < 2 * submission._ENCODED_AHEAD and time.monotonic() < until:
                time.sleep(0.001)
            at_first_step.append(len(built))

    work = make_submission(ListEngine(before_step=first_step))
    work._prompter = Watched()  # type: ignore[assignment]
    pairs = make_pairs(["a"] * 1000)
    iterator = work.score(pairs, flush_seconds=0.0, deadline=None)
    next(iterator)
    assert at_first_step == [2 * submission._ENCODED_AHEAD]
    assert all(name.startswith("prompts") for name in threads)
    iterator.close()
    for thread in threading.enumerate():
        if thread.name.startswith("prompts"):
            thread.join(10)
            assert not thread.is_alive()
    assert len(built) <= 3 * submission._ENCODED_AHEAD
    assert sum(len(chunk.scores) for chunk in work.score(pairs, flush_seconds=9.0, deadline=None)) == 1000


def test_chunks_come_every_flush_seconds() -> None:
    engine = ListEngine(before_step=lambda number: time.sleep(0.01))
    chunks = list(make_submission(engine).score(make_pairs(WORDS), flush_seconds=0.03, deadline=None))
    assert len(chunks) >= 3
    assert sum(len(chunk.scores) for chunk in chunks) == len(WORDS)
    assert all(chunk.seconds >= 0.03 for chunk in chunks[:-1])


def test_what_cannot_be_scored_is_refused_and_touches_nothing_else() -> None:
    engine = ListEngine()
    pairs = make_pairs(["fine", "refuse", "long " * 21, "label", "fine"])
    (chunk,) = make_submission(engine).score(pairs, flush_seconds=math.inf, deadline=None)
    assert [(refusal.pair.document_id, refusal.reason) for refusal in chunk.refused] == [
        (1, "told to"),
        (2, "the prompt has 21 tokens, the model takes 20"),
    ]
    assert [score.pair.document_id for score in chunk.scores] == [0, 3, 4]
    assert chunk.neutralised == (pairs[3],)


def test_a_pair_that_the_engine_gives_up_is_refused() -> None:
    engine = ListEngine()
    answer = engine.answer

    def failing(request_id: str, logit: float) -> Any:
        result = answer(request_id, logit)
        result.error = "aborted" if request_id == "1" else None
        return result

    engine.answer = failing  # type: ignore[method-assign]
    (chunk,) = make_submission(engine).score(make_pairs(["a", "b", "c"]), flush_seconds=9.0, deadline=None)
    assert [refusal.pair.document_id for refusal in chunk.refused] == [1]
    assert len(chunk.scores) == 2


def test_a_pair_of_several_windows_has_the_largest_logit() -> None:
    pairs = make_pairs(["a a|aaaa|a", "aaa", "a|a|a|a label"])
    (chunk,) = make_submission(ListEngine()).score(pairs, flush_seconds=math.inf, deadline=None)
    assert [(score.pair.document_id, score.logit) for score in chunk.scores] == [(0, 4), (1, 3), (2, 6)]
    assert [score.prompt_tokens for score in chunk.scores] == [4, 1, 5]
    assert chunk.neutralised == (pairs[2],)


def test_one_window_that_cannot_be_scored_refuses_its_pair_once() -> None:
    engine = ListEngine()
    answer = engine.answer

    def failing(request_id: str, logit: float) -> Any:
        result = answer(request_id, logit)
        result.error = "aborted" if request_id == "2" else None
        return result

    engine.answer = failing  # type: ignore[method-assign]
    pairs = make_pairs(["a", "a|aa|aaa|aaaa", "a|" + "a " * 21, "aa"])
    chunks = list(make_submission(engine).score(pairs, flush_seconds=0.0, deadline=None))
    refused = [refusal.pair.document_id for chunk in chunks for refusal in chunk.refused]
    assert sorted(refused) == [1, 2]
    assert sorted(score.pair.document_id for chunk in chunks for score in chunk.scores) == [0, 3]
    assert engine.inside == {}


def test_a_pair_of_several_windows_is_one_suspect() -> None:
    engine = ListEngine(before_step=fail_at(1, RuntimeError("out of memory")))
    with pytest.raises(ChunkFailed) as failure:
        list(make_submission(engine).score(make_pairs(["a|a|a|a|a"]), flush_seconds=9.0, deadline=None))
    assert [pair.document_id for pair in failure.value.suspects] == [0]


def test_the_deadline_empties_the_engine_and_ends_the_iteration() -> None:
    engine = ListEngine(before_step=lambda number: time.sleep(0.02))
    work = make_submission(engine)
    deadline = time.monotonic() + 0.05
    chunks = list(work.score(make_pairs(WORDS), flush_seconds=math.inf, deadline=deadline))
    assert 0 < sum(len(chunk.scores) for chunk in chunks) < len(WORDS)
    assert engine.inside == {}
    assert list(work.score(make_pairs(WORDS), flush_seconds=9.0, deadline=None))


def test_leaving_early_empties_the_engine() -> None:
    engine = ListEngine()
    work = make_submission(engine)
    for _ in work.score(make_pairs(WORDS), flush_seconds=0.0, deadline=None):
        assert engine.inside
        break
    assert engine.inside == {}
    assert not work.finished


def fail_at(number: int, error: BaseException) -> Callable[[int], None]:
    def check(step: int) -> None:
        if step == number:
            raise error

    return check


def test_a_failed_step_gives_what_was_done_then_names_what_was_inside() -> None:
    engine = ListEngine(before_step=fail_at(2, RuntimeError("out of memory")))
    work = make_submission(engine)
    pairs = make_pairs(WORDS)
    iterator = work.score(pairs, flush_seconds=math.inf, deadline=None)
    done = [score.pair for score in next(iterator).scores]
    assert len(done) == 4
    with pytest.raises(ChunkFailed, match="RuntimeError: out of memory") as failure:
        next(iterator)
    assert len(failure.value.suspects) == len(engine.inside)
    assert not set(failure.value.suspects) & set(done)
    with pytest.raises(EngineError, match="finished"):
        next(work.score(pairs, flush_seconds=9.0, deadline=None))


def test_an_engine_that_rejects_a_pair_is_finished_too(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ListEngine()
    monkeypatch.setattr(engine, "add_request", lambda *_: (_ for _ in ()).throw(ValueError("no")))
    with pytest.raises(ChunkFailed, match="ValueError: no") as failure:
        next(make_submission(engine).score(make_pairs(WORDS), flush_seconds=9.0, deadline=None))
    assert [pair.document_id for pair in failure.value.suspects] == [0]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes_through_and_finishes_the_engine(interrupt: type[BaseException]) -> None:
    work = make_submission(ListEngine(before_step=fail_at(1, interrupt())))
    with pytest.raises(interrupt):
        list(work.score(make_pairs(WORDS), flush_seconds=9.0, deadline=None))
    assert work.finished


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_logit_that_is_not_finite_names_its_pair(value: float) -> None:
    engine = ListEngine()
    answer = engine.answer
    engine.answer = lambda request_id, logit: answer(  # type: ignore[method-assign]
        request_id, value if request_id == "3" else logit
    )
    work = make_submission(engine)
    with pytest.raises(ChunkFailed, match="logit of query 0 × document 3 is") as failure:
        list(work.score(make_pairs(WORDS), flush_seconds=9.0, deadline=None))
    assert [pair.document_id for pair in failure.value.suspects] == [3]
    assert work.finished


def test_two_iterations_at_once_are_refused() -> None:
    work = make_submission(ListEngine())
    for _ in work.score(make_pairs(WORDS), flush_seconds=0.0, deadline=None):
        with pytest.raises(EngineError, match="already scoring"):
            next(work.score(make_pairs(WORDS), flush_seconds=0.0, deadline=None))


def test_another_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    work = make_submission(ListEngine())
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(EngineError, match="process that built it"):
        next(work.score(make_pairs(WORDS), flush_seconds=9.0, deadline=None))


def test_only_the_engines_import_vllm() -> None:
    package = Path(submission.__file__).parents[1]
    importing = [
        file.name
        for file in package.rglob("*.py")
        if any(
            line.strip().startswith(("import vllm", "from vllm")) for line in file.read_text().splitlines()
        )
    ]
    assert sorted(importing) == ["vllm.py", "vllm_embedder.py", "vllm_states.py"]
