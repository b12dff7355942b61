"""The page's work without a browser: what it asks the scorer, and what it answers."""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from made_media import clip, picture
from PIL import Image

from rerank_core.errors import EngineError, InputError
from rerank_core.evaluation import playground
from rerank_core.evaluation.playground import Entry, Pictured, Playground, score
from rerank_core.evaluation.playground_view import HEADERS, rows, summary
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer
from rerank_core.models.vision import QWEN3_VL
from rerank_core.records import DEFAULT_INSTRUCTION, Pair, Topic
from rerank_core.settings import Settings
from rerank_core.storage.rendition_names import digest_of, is_clip

NOWHERE = "postgresql+psycopg2://nobody@127.0.0.1:1/none"
TOPIC = Topic(slug="solar", query="solar power", queries={"zh": "太阳能"}, instruction="judge")


def entries(*texts: str, lang: str = "en") -> list[Entry]:
    return [Entry(number, text, lang) for number, text in enumerate(texts, start=1)]


def test_texts_come_in_order_with_logit_and_probability() -> None:
    answer = score(FakeScorer(), topic=TOPIC, entries=entries("wind", "solar power", "solar"))
    assert [one.entry.text for one in answer.scored] == ["solar power", "solar", "wind"]
    assert [one.probability for one in answer.scored] == pytest.approx([0.98, 0.5, 0.018], abs=0.01)
    shown = rows(answer)
    assert [row[0] for row in shown] == ["1", "2", "3"]
    assert [row[1] for row in shown] == ["text 2", "text 3", "text 1"]
    assert len(shown[0]) == len(HEADERS)
    assert summary(answer).startswith("3 texts, ")


def test_a_text_is_asked_for_in_the_query_of_its_language() -> None:
    answer = score(FakeScorer(), topic=TOPIC, entries=[*entries("solar"), Entry(2, "太阳能", "zh")])
    assert {one.entry.lang: one.query for one in answer.scored} == {"en": "solar power", "zh": "太阳能"}


def test_a_refused_text_stands_last_with_its_reason() -> None:
    answer = score(FakeScorer(refuse_text="wind"), topic=TOPIC, entries=entries("wind", "nothing"))
    assert rows(answer)[1][:5] == ["refused", "text 1", "", "", "told to refuse it"]


def test_what_was_cut_is_said_in_characters() -> None:
    prompter = scorers.prompter(Settings.load(max_document_tokens=16))
    text = "The central bank cut its key rate by half a point. " * 4
    answer = score(
        FakeScorer(max_document_tokens=16), topic=TOPIC, entries=entries(text), prompter=lambda: prompter
    )
    read = answer.scored[0].read

    def truncated(length: int) -> bool:
        return prompter.prompt(instruction="judge", query="solar power", document=text[:length]).truncated

    assert 0 < read < len(text)
    assert not truncated(read)
    assert truncated(read + 1)
    assert rows(answer)[0][4] == f"first {read:,} of {len(text):,} characters"
    assert "1 cut" in summary(answer)


def test_texts_that_are_not_scored_in_time_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playground, "SECONDS", -1.0)
    with pytest.raises(EngineError, match="not all texts were scored"):
        score(FakeScorer(), topic=TOPIC, entries=entries("solar"))


class Engines:
    """Gives scorers, and keeps them and what they were asked."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.built: list[FakeScorer] = []
        self.asked: list[Pair] = []
        self.uploads: list[dict[str, bytes]] = []  # that could be read at each request
        self.family = "fake"

    def load(self, settings: Settings, *, beside: Mapping[str, bytes]) -> FakeScorer:
        scorer = FakeScorer(**self.options)
        scorer.identity = replace(scorer.identity, family=self.family)
        original = scorer.score

        def recording(pairs: Sequence[Pair], **options: Any) -> Any:
            self.asked.extend(pairs)
            self.uploads.append(dict(beside))
            return original(pairs, **options)

        scorer.score = recording  # type: ignore[method-assign]
        self.built.append(scorer)
        return scorer


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    found = Engines()
    monkeypatch.setattr(scorers, "load", found.load)
    return found


@pytest.fixture
def nowhere() -> Settings:
    """Settings whose database does not answer."""
    return Settings.load(database_url=NOWHERE)


def test_a_query_of_ones_own_needs_no_database(engines: Engines, nowhere: Settings) -> None:
    page = Playground(nowhere)
    assert page.topics() == []
    answer = page.ask("", " solar ", "", ["", "solar", " "])
    assert [one.entry.number for one in answer.scored] == [2]
    assert [(pair.query, pair.instruction) for pair in engines.asked] == [("solar", DEFAULT_INSTRUCTION)]
    page.close()
    assert engines.built[0].finished


@pytest.mark.parametrize(
    ("slug", "query", "fields", "said"),
    [
        ("", "", ["text"], "choose a topic or type a query"),
        ("", "q", ["", " "], "there is no text to score"),
        ("", "q", ["text"] * 11, "11 texts are too many"),
        ("gone", "", ["text"], "topic 'gone' is not active"),
    ],
)
def test_what_is_missing_is_said(
    engines: Engines, nowhere: Settings, slug: str, query: str, fields: list[str], said: str
) -> None:
    page = Playground(nowhere)
    with pytest.raises(InputError, match=said):
        page.ask(slug, query, "", fields)
    page.close()


def test_an_engine_that_failed_is_built_anew_for_the_next_request(
    engines: Engines, nowhere: Settings
) -> None:
    engines.options["fail_at_text"] = "poison"
    page = Playground(nowhere)
    with pytest.raises(EngineError, match="a step failed"):
        page.ask("", "q", "", ["poison"])
    assert engines.built[0].finished
    assert len(page.ask("", "q", "", ["fine"]).scored) == 1
    assert len(engines.built) == 2
    page.close()


@pytest.fixture(scope="module")
def seeing() -> Iterator[tuple[Playground, Engines]]:
    """A playground whose scorer reads pictures; its helper takes seconds to start."""
    engines = Engines()
    engines.family = QWEN3_VL.name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorers, "load", engines.load)
        page = Playground(Settings.load(database_url=NOWHERE, media_mib=1))
        yield page, engines
        page.close()


def test_an_upload_is_made_small_and_scored_with_its_text_alone(seeing: tuple[Playground, Engines]) -> None:
    page, engines = seeing
    engines.asked.clear()
    engines.uploads.clear()
    answer = page.ask("", "solar", "", ["solar", "", "solar"], Pictured(3, picture(size=(1600, 900))))
    assert [len(pair.pictures) for pair in engines.asked] == [0, 1]
    ((path, content),) = engines.uploads[0].items()
    assert engines.asked[1].pictures == (path,)
    assert hashlib.sha256(content).hexdigest() == digest_of(path)
    with Image.open(io.BytesIO(content)) as shown:
        assert (shown.format, max(shown.size)) == ("JPEG", 768)
    assert {row[1]: row[4] for row in rows(answer)} == {"text 1": "all", "text 3": "all, with 1 picture"}
    page.ask("", "solar", "", ["solar"])
    assert engines.uploads[1] == {}, "the next request cannot read it"


def test_an_upload_is_known_for_a_clip_by_its_content(seeing: tuple[Playground, Engines]) -> None:
    page, engines = seeing
    page.ask("", "solar", "", ["solar"], Pictured(1, clip(frames=8)))
    (path,) = engines.asked[-1].pictures
    assert is_clip(path)


@pytest.mark.parametrize(
    ("pictured", "said"),
    [
        (Pictured(1, b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "dropped, media_format: it is SVG"),
        (Pictured(1, b""), "dropped, media_broken: the file is empty"),
        (Pictured(1, picture()[:3000]), "dropped, media_broken"),
        (Pictured(1, picture() + bytes(1 << 20)), "dropped, media_too_large: it has more than 1 MiB"),
        (Pictured(2, b""), "text 2 has a picture and no text"),
        (Pictured(1, b"", "bank-1"), "an upload and an article"),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused_for_the_reason_that_prepare_counts(
    seeing: tuple[Playground, Engines], pictured: Pictured, said: str
) -> None:
    page, engines = seeing
    asked = len(engines.asked)
    with pytest.raises(InputError, match=said):
        page.ask("", "solar", "", ["solar"], pictured)
    assert len(engines.asked) == asked


def test_a_scorer_of_texts_says_why_pictures_are_off(engines: Engines, nowhere: Settings) -> None:
    page = Playground(nowhere)
    with pytest.raises(InputError, match="Pictures are off: fake reads texts alone; start the playground"):
        page.ask("", "solar", "", ["solar"], Pictured(1, picture()))
    page.close()
