"""Each target holds over a few hundred drawn inputs, and each of its oracles catches what is broken on purpose."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fuzz import __main__ as driver
from fuzz import drawn
from fuzz import targets as fuzz
from fuzz.targets import Finding, Room, Target
from rerank_core.evaluation import judgements
from rerank_core.extract import articles
from rerank_core.frontends import json_pages
from rerank_core.prepare import documents, fragment, marks, story, tokens
from rerank_core.prepare.cleaning import STEPS
from rerank_core.storage import topics_file, topics_values
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

DRAWN = {"prepare": 150, "near": 60, "topics": 150, "articles": 150, "pages": 150}


tokens_visible = tokens.visible


@pytest.fixture
def every(database_url: str, store_url: str) -> dict[str, Target]:
    fuzz.warm()
    return fuzz.targets(Room(Database(database_url), Store(store_url)))


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_inputs_break_no_promise(name: str, every: dict[str, Target]) -> None:
    target = every[name]
    for number in range(DRAWN[name]):
        content = target.draw(Random(f"1:{number}"))
        target.run(content)
        if len(content) < 20_000 and number % 3 == 0:
            target.run(target.change(content, Random(number)))


@pytest.mark.parametrize("name", DRAWN)
def test_a_seed_gives_the_same_inputs_again(name: str, every: dict[str, Target]) -> None:
    target = every[name]
    drawn_twice = [[target.draw(Random(f"7:{number}")) for number in range(5)] for _ in range(2)]
    assert drawn_twice[0] == drawn_twice[1]
    changed = [target.change(drawn_twice[0][0], Random(7)) for _ in range(2)]
    assert changed[0] == changed[1]


def first_finding(target: Target, number: int = 400) -> BaseException | None:
    """What is found first in so many drawn inputs; None if nothing is."""
    for drawn_number in range(number):
        try:
            target.run(target.draw(Random(f"1:{drawn_number}")))
        except Exception as error:
            return error
    return None


def _dropping(text: str, *rest: Any) -> str:
    return text.replace("линия", "лния")


def _endless(*given: Any, **named: Any) -> Iterator[Any]:
    yield from (number for number in count() if number < 0)


def _broken(*given: Any, **named: Any) -> Any:
    raise AttributeError("an error that nobody raises on purpose")


@pytest.mark.parametrize(
    ("name", "owner", "what", "instead", "found"),
    [
        ("prepare", fragment, "visible", lambda found: tokens_visible(found[:-3]), "is lost"),
        ("prepare", tokens, "HIDDEN", frozenset(), "it shows what is hidden"),
        ("prepare", documents, "MAX_TEXT", 5, "an error of the control"),
        ("topics", topics_file, "to_whole", _broken, "nobody raises"),
        ("topics", topics_values, "LEAST_HALF_LIFE", 0.0, "makes a rank score infinite"),
        ("articles", articles, "_digest", _broken, "nobody raises"),
        ("pages", judgements, "_gather", _broken, "nobody raises"),
        ("pages", json_pages, "_is_ours", lambda found, pipeline: found is not None, "object"),
        ("near", story, "NOUN_CAPITALS", None, "NoneType"),
    ],
)
def test_control_what_breaks_a_promise_is_found(
    name: str,
    owner: Any,
    what: str,
    instead: Any,
    found: str,
    every: dict[str, Target],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, what, instead)
    if what == "MAX_TEXT":
        # The bound of the oracle moves with the product's: cut nothing, and the document is too long.
        monkeypatch.setattr(documents, "_cut", lambda text, characters: text)
        found = "cannot be stored"
    error = first_finding(every[name])
    assert error is not None
    assert found in str(error)


def test_control_a_step_that_drops_a_letter_is_found(
    every: dict[str, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STEPS, "normalise", _dropping)
    assert "is lost" in str(first_finding(every["prepare"]))


@pytest.mark.parametrize(
    ("name", "owner", "what"),
    [
        ("prepare", fragment, "tokens"),
        ("topics", topics_file, "_check_size"),
        ("articles", articles, "read_lines"),
        ("pages", judgements, "_read_lines"),
        ("near", marks, "_figures"),
    ],
)
def test_control_what_comes_to_no_end_is_found(
    name: str, owner: Any, what: str, every: dict[str, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, what, lambda *given, **named: list(_endless()))
    target = Target(name, every[name].draw, every[name].check, 0.3)
    assert "more than 0.3 s of processor time" in str(first_finding(target))


def test_control_two_texts_whose_order_counts_are_found(
    every: dict[str, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "veto", lambda one, other: str(len(one.words)))
    assert "depends on the order" in str(first_finding(every["near"]))


def test_a_short_text_that_takes_long_is_drawn_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def slow(**fields: Any) -> Any:
        lengths.append(len(fields["body"]))
        until = fuzz.time.process_time() + 0.2
        while fuzz.time.process_time() < until:
            """Works."""
        raise documents.Unpreparable("empty")

    monkeypatch.setattr(documents, "to_document", slow)
    fuzz.check_article(fuzz.article(body="<p>" + "a " * 500))
    assert lengths[0] == 1_003
    assert lengths[1] > 9_000


def test_the_driver_keeps_an_input_that_breaks_a_promise_and_plays_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(content: bytes) -> None:
        if content == b"3":
            raise Finding("three")

    target = Target("near", lambda random: str(random.randrange(5)).encode(), check, 1.0)
    record = driver.Record(tmp_path, tmp_path / "out")
    for number in range(40):
        record.check(target, target.draw(Random(number)))
    record.write()
    told = json.loads((tmp_path / "state").read_text(encoding="utf-8"))
    assert told["executions"] == 40
    assert list(told["findings"]) == ["Finding-target"]
    (kept,) = {
        file.read_bytes() for file in (tmp_path / "out" / "near").glob("Finding-*") if file.suffix != ".txt"
    }
    assert kept == b"3"
    with pytest.raises(Finding, match="three"):
        target.run(kept)


def test_pieces_are_read_with_their_escapes() -> None:
    assert "\0" in drawn.pieces("odd")
    assert "\ud800" in drawn.pieces("odd")
    assert "\\" in drawn.pieces("odd")
    assert "ﷺ" in drawn.pieces("odd")
    assert all(
        len(drawn.pieces(section)) > 15
        for section in ("odd", "languages", "markup", "yaml", "json", "dates", "words")
    )
