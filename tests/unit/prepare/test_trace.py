"""Each step of prepare is told by what it did, and the steps lead to the document that is stored."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from rerank_core.errors import SettingsError
from rerank_core.prepare import documents
from rerank_core.prepare import trace as trace_module
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.prepare.trace import MAX_CHANGES, trace

SAMPLE = Path(__file__).resolve().parents[3] / "rerank_core/demo/sample/articles.jsonl"
BODY = (
    "<p>The bridge opened on Monday.</p><p>It isn\u00e2\u20ac\u2122t finished, say\u00a0engineers.</p>"
    "<p>Subscribe now</p>"
)


def steps(*, cleaning: Cleaning = Cleaning(), **given: Any) -> dict[str, tuple[str, ...]]:  # noqa: B008 - it is frozen
    article = {"title": None, "summary": None, "body": None, "lang": None} | given
    return {name: tuple(did) for name, did in trace(**article, cleaning=cleaning)[0].items()}


def test_every_step_says_what_it_changed_and_in_which_field() -> None:
    found = steps(title="A <b>bridge</b>", body=BODY, lang="en")
    assert (
        " ".join(found)
        == "decode extract repair normalise boilerplate letters assembly language flags digest"
    )
    assert found["extract"] == (
        "title: 15 characters of markup → 8 of text, a line a block",
        f"body: {len(BODY)} characters of markup → 78 of text, a line a block",
    )
    assert found["repair"] == ("body: “isn\u00e2\u20ac\u2122t” → “isn\u2019t”",)
    assert found["boilerplate"] == ("body: − “Subscribe now”",)
    assert found["letters"] == ("title: 7 in, 7 out", "body: 62 in, 49 out")
    assert found["assembly"] == ("title, body: 72 characters",)
    assert found["language"][0].startswith("en, confidence ")
    assert found["language"][0].endswith("; the source claims en")
    assert found["flags"] == ()


def test_odd_spaces_and_invisible_characters_can_be_seen() -> None:
    found = steps(title="solar\u200b power\u3000today")
    assert found["normalise"] == ("title: “solar\\u200b power\\u3000today” → “solar power today”",)


def test_a_summary_that_the_body_begins_with_is_not_part_of_the_text() -> None:
    assert steps(summary="The bridge…", body="The bridge opened.")["assembly"] == ("body: 18 characters",)
    assert steps(summary="A bridge", body="It opened.")["assembly"] == ("summary, body: 20 characters",)


def test_a_step_that_is_left_out_did_nothing() -> None:
    cleaning = Cleaning(without=frozenset({"boilerplate"}))
    assert steps(body=BODY, cleaning=cleaning)["boilerplate"] == ()


def test_an_article_for_the_quarantine_says_why() -> None:
    found, digest = trace(title="<p> </p>", summary=None, body="---", lang=None, cleaning=Cleaning())
    assert (list(found)[-1], digest) == ("quarantine", None)
    assert found["quarantine"] == ["empty: no letter or digit in title, summary and body"]


def broken(*_: Any, **__: Any) -> Any:
    raise RecursionError("too deep")


def test_an_article_that_breaks_a_step_shows_those_before_it_and_which_one_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(trace_module.STEPS, "repair", broken)
    found = steps(title="A bridge")
    assert list(found) == ["decode", "extract", "quarantine"]
    assert found["quarantine"] == ("unreadable: RecursionError in repair",)


def test_an_article_that_breaks_what_comes_after_the_steps_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "flags", broken)
    found = steps(title="A bridge")
    assert list(found)[-2:] == ["letters", "quarantine"]
    assert found["quarantine"] == ("unreadable: RecursionError in its preparation",)


def test_rules_that_cannot_be_read_are_no_fault_of_the_article(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        steps(body="A bridge", cleaning=Cleaning(rules=tmp_path / "nowhere"))


def test_many_changes_are_counted_and_not_all_told() -> None:
    body = "\n".join(f"line\u3000{number}" for number in range(MAX_CHANGES + 5))
    did = steps(body=body)["normalise"]
    assert len(did) == MAX_CHANGES + 1
    assert did[-1] == "body: … and 5 more lines"


def test_of_every_sample_article_the_steps_lead_to_its_document() -> None:
    refused = 0
    for article in map(json.loads, SAMPLE.read_text(encoding="utf-8").splitlines()):
        given = {name: article[name] for name in ("title", "summary", "body", "lang")}
        found, digest = trace(**given, cleaning=Cleaning())
        try:
            document = to_document(**given)
        except Unpreparable:
            refused += 1
            assert digest is None
            continue
        assert digest == document.digest == hashlib.sha256(document.text.encode("utf-8")).digest()
        assert found["digest"] == [document.digest.hex()]
    assert refused == 1
