"""Clients as people have them: the tutorial's own, and client libraries where they are installed."""

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from served import Served, served

from rerank_core.errors import InputError
from rerank_core.evaluation import dialects
from rerank_core.evaluation.desk import Texts
from rerank_core.models.base import Refusal, probability
from rerank_core.records import DEFAULT_INSTRUCTION

DOCUMENTS = ["wind", "solar power plant", "solar"]
QUERY = "solar power"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as found:
        yield found


def tutorial(url: str) -> dict[str, Any]:
    """The names of the tutorials' Gradio script, run as it is but for the port; gradio itself takes seconds to import."""
    source = (Path(__file__).parents[2] / "tutorial_gradio.py").read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "tutorial"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "gradio", MagicMock())
        exec(compile(source.replace("http://localhost:8000", url), "tutorial_gradio.py", "exec"), names)
    return names


def test_the_tutorials_script_shows_a_score_for_each_document(server: Served) -> None:
    rows = tutorial(server.url)["rerank"](QUERY, "\n".join(DOCUMENTS))
    assert [text for text, _ in rows] == ["solar power plant", "solar", "wind"]
    assert all(0 < score < 1 for _, score in rows)


def cohere() -> Any:
    return pytest.importorskip("cohere", reason="the client library `cohere` is not installed")


@pytest.mark.filterwarnings("default")
def test_coheres_client_of_both_versions_orders_documents(server: Served) -> None:
    library = cohere()
    for client in (library.Client, library.ClientV2):
        with client(api_key="any", base_url=server.url) as asked:
            found = asked.rerank(model="Qwen3-Reranker-0.6B", query=QUERY, documents=DOCUMENTS, top_n=2)
        assert [row.index for row in found.results] == [1, 2]
        assert found.results[0].relevance_score > found.results[1].relevance_score
        assert found.meta.api_version.version == ("2" if client is library.ClientV2 else "1")


@pytest.mark.filterwarnings("default")
def test_coheres_client_shows_why_a_model_is_unknown(server: Served) -> None:
    library = cohere()
    with library.ClientV2(api_key="any", base_url=server.url) as asked:
        with pytest.raises(library.errors.NotFoundError) as refused:
            asked.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS)
    assert "'rerank-v3.5' is not served here" in str(refused.value.body)


def jina_rerank(url: str, documents: list[Any], **options: Any) -> Any:
    """What clients of Jina's dialect do: they take `results`, or raise `detail`."""
    body = {"model": "Qwen3-Reranker-0.6B", "query": QUERY, "documents": documents, **options}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer any"}
    request = urllib.request.Request(f"{url}/v1/rerank", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_jinas_dialect_takes_objects_and_gives_usage(server: Served) -> None:
    found = jina_rerank(server.url, [{"text": text} for text in DOCUMENTS], top_n=1)
    assert found["object"] == "list"
    assert found["usage"]["total_tokens"] > 0
    assert found["results"] == [
        {"index": 1, "relevance_score": pytest.approx(0.982, abs=1e-3), "document": {"text": DOCUMENTS[1]}}
    ]
    bare = jina_rerank(server.url, DOCUMENTS, return_documents=False)
    assert all("document" not in row for row in bare["results"])


@pytest.mark.parametrize(
    "names", [("queries", "documents"), ("text_1", "text_2"), ("data_1", "data_2"), ("query", "items")]
)
@pytest.mark.parametrize("path", ["/score", "/v1/score"])
def test_scores_come_in_the_order_of_the_documents(server: Served, path: str, names: tuple[str, str]) -> None:
    found = server.post(path, {names[0]: QUERY, names[1]: DOCUMENTS, "use_activation": False}).body["data"]
    assert [row["index"] for row in found] == [0, 1, 2]
    assert found[1]["score"] > found[2]["score"] > found[0]["score"]
    assert found[1]["score"] == pytest.approx(4.0, abs=0.02)  # a logit


def test_queries_and_documents_pair_up(server: Served) -> None:
    body = {"queries": ["wind", "solar"], "documents": ["wind", "wind"], "use_activation": False}
    first, second = server.post("/score", body).body["data"]
    assert first["score"] > second["score"]
    single = server.post("/score", {"queries": ["wind"], "documents": "wind", "use_activation": False})
    assert single.body["data"][0]["score"] == first["score"]
    wrong = server.post("/score", {"queries": ["a", "b"], "documents": ["c"]})
    assert (wrong.status, "2 queries and 1 documents" in wrong.why) == (400, True)


def test_top_n_zero_and_none_give_all(server: Served) -> None:
    for top_n in (0, None, 3, 50):
        found = server.post("/rerank", {"query": QUERY, "documents": DOCUMENTS, "top_n": top_n})
        assert len(found.body["results"]) == 3


def test_equal_documents_keep_their_order(server: Served) -> None:
    found = server.post("/rerank", {"query": QUERY, "documents": ["same"] * 5}).body["results"]
    assert [row["index"] for row in found] == [0, 1, 2, 3, 4]


def test_an_instruction_reaches_the_model_and_an_empty_one_is_the_default() -> None:
    def told(**options: Any) -> list[Texts]:
        content = {"query": "q", "documents": ["d"], **options}
        return dialects.read(dialects.RerankRequest, content, max_document_tokens=512).texts()

    assert told(instruction="Find news.") == [Texts("Find news.", "q", "d")]
    assert told() == told(instruction="") == told(instruction=None) == [Texts(DEFAULT_INSTRUCTION, "q", "d")]


def test_unknown_fields_are_passed_over_and_limits_of_at_least_ours_are_kept() -> None:
    content = {"query": "q", "documents": ["d"], "user": "x", "priority": 3, "max_tokens_per_doc": 4096}
    content |= {"truncate_prompt_tokens": -1, "rank_fields": None}
    assert dialects.read(dialects.RerankRequest, content, max_document_tokens=512).documents == ["d"]


def test_a_probability_is_never_an_overflow() -> None:
    assert [probability(logit) for logit in (-1e6, 0.0, 1e6)] == pytest.approx([0.0, 0.5, 1.0])


def test_settled_names_the_first_refused_pair() -> None:
    from factories import make_pair, make_score

    outcomes = [make_score(), Refusal(make_pair(), "too long")]
    with pytest.raises(InputError, match="document 1 cannot be scored: too long"):
        dialects.settled(outcomes)
