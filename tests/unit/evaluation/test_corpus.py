"""Judged corpora in a folder: read, recalled by BM25 within a language, and ordered by a scorer."""

import json
from pathlib import Path

import pytest

from rerank_core.errors import InputError
from rerank_core.evaluation import corpus
from rerank_core.evaluation.evaluate import report
from rerank_core.models.base import FakeScorer
from rerank_core.models.embedding import FakeEmbedder

XQUAD = Path(__file__).parents[4] / "shared" / "data" / "relevance" / "xquad_multi"

DOCUMENTS = [
    {"id": "en-1", "title": "Solar", "text": "solar power for every house", "lang": "en"},
    {"id": "en-2", "title": "Wind", "text": "wind power and solar solar solar", "lang": "en"},
    {"id": "en-3", "title": "Bread", "text": "a bakery", "lang": "en"},
    {"id": "de-1", "title": "Solar", "text": "solar power house", "lang": "de"},
    {"id": "zh-1", "title": "太阳能", "text": "太阳能发电", "lang": "zh"},
]
QUERIES = [
    {"id": "q-en", "text": "solar power house", "lang": "en"},
    {"id": "q-zh", "text": "太阳能", "lang": "zh"},
    {"id": "q-none", "text": "tide", "lang": "en"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, rows in (("corpus", DOCUMENTS), ("queries", QUERIES)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "qrels.tsv").write_text("query_id\tdoc_id\trelevance\nq-en\ten-1\t1\nq-zh\tzh-1\t1\n")
    return tmp_path


def test_candidates_are_of_the_querys_language_and_share_a_term(folder: Path) -> None:
    found = corpus.by_bm25(corpus.read(folder), candidates=50)
    assert {query: sorted(of) for query, of in found.scores.items()} == {
        "q-en": ["en-1", "en-2"],
        "q-zh": ["zh-1"],
    }
    assert corpus.by_bm25(corpus.read(folder), candidates=1).scores["q-en"].keys() == {"en-1"}


def test_a_scorer_orders_the_candidates(folder: Path) -> None:
    texts = corpus.read(folder)
    light = corpus.by_bm25(texts, candidates=50)
    told: list[tuple[int, int]] = []
    model = corpus.by_scorer(
        texts, FakeScorer(), light.scores, name="fake", on_progress=lambda *done: told.append(done)
    )
    assert model.scores["q-en"]["en-1"] > model.scores["q-en"]["en-2"]
    assert told == [(3, 3)]
    found = report([model, light])
    assert found.topics == ("q-en", "q-zh")
    assert found.means[0]["RR"].value == 1
    assert set(found.languages) == {"en", "zh"}


def test_an_embedder_orders_the_same_candidates(folder: Path) -> None:
    texts = corpus.read(folder)
    light = corpus.by_bm25(texts, candidates=50)
    meaning = corpus.by_meaning(texts, FakeEmbedder(), light.scores)
    assert {query: of.keys() for query, of in meaning.scores.items()} == {
        query: of.keys() for query, of in light.scores.items()
    }
    assert meaning.scores["q-en"]["en-1"] > meaning.scores["q-en"]["en-2"]
    assert meaning.judgements == light.judgements


def test_a_refused_pair_ends_the_evaluation(folder: Path) -> None:
    texts = corpus.read(folder)
    light = corpus.by_bm25(texts, candidates=50)
    with pytest.raises(InputError, match="told to refuse it"):
        corpus.by_scorer(texts, FakeScorer(refuse_text="wind"), light.scores, name="fake")


def test_queries_are_drawn_for_each_language_by_a_fixed_seed(folder: Path) -> None:
    assert [query.id for query in corpus.read(folder, queries=1).queries] == ["q-en", "q-zh"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("corpus.jsonl", '{"id": 1}\n', "line 1: not an object with id, text and lang"),
        ("corpus.jsonl", "[]\n", "line 1"),
        ("corpus.jsonl", f"{json.dumps(DOCUMENTS[0])}\n" * 2, "an id occurs twice"),
        ("qrels.tsv", "other\ten-1\t1\n", "judges none of the queries"),
    ],
)
def test_a_damaged_corpus_is_named(folder: Path, name: str, content: str, said: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=said):
        corpus.read(folder)


def test_a_folder_without_a_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"corpus\.jsonl cannot be read: No such file or directory; name a file"
    ):
        corpus.read(tmp_path)


def test_a_corpus_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"corpus '{tmp_path}/none' is no folder here; name one with"):
        corpus.read(tmp_path / "none")


def test_bm25_finds_the_paragraphs_of_a_multilingual_set() -> None:
    if not XQUAD.is_dir():
        pytest.skip("the relevance set is not here")
    found = report([corpus.by_bm25(corpus.read(XQUAD, queries=30), candidates=50)])
    assert set(found.languages) == {"ar", "de", "en", "es", "ru", "zh"}
    assert found.languages["en"][0]["nDCG@10"].value > 0.9
    assert found.languages["zh"][0]["nDCG@10"].value > 0.8


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"id": "a", "text": "\\ud800", "lang": "en"}', "surrogates not allowed"),
        ('{"id": ' + "1" * 5_000 + "}", "too many digits"),
        ('{"id": "a", "text": "b"}', "not an object with id, text and lang$"),
        ("[]", "not an object but a list"),
    ],
)
def test_a_line_that_is_no_text_is_named(folder: Path, line: str, why: str) -> None:
    (folder / "corpus.jsonl").write_text(json.dumps(DOCUMENTS[0]) + "\n\n" + line + "\n")
    with pytest.raises(InputError, match=rf"corpus.jsonl, line 3: .*{why}"):
        corpus.read(folder)
