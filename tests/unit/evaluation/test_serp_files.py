"""Queries, documents and runs as ir_datasets, BEIR, pyserini and MS MARCO write them; a wrong line is named."""

import gzip
from pathlib import Path

import pytest

from rerank_core.errors import InputError
from rerank_core.evaluation import serp_files
from rerank_core.evaluation.serp_files import Candidate, Query


def written(folder: Path, text: str | bytes, name: str = "file") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return file


@pytest.mark.parametrize(
    "text",
    [
        "q1\tsolar power\nq2\twind\n",
        "q1\tsolar power\r\n\r\nq2\twind",
        '{"_id": "q1", "text": "solar power", "metadata": {}}\n{"_id": "q2", "text": "wind"}\n',
        '{"query_id": "q1", "text": "solar power"}\n{"query_id": "q2", "text": "wind"}\n',
        '{"qid": "q1", "query": "solar power"}\n{"qid": "q2", "title": "wind"}\n',
        "\ufeffq1\tsolar power\nq2\twind\n",
    ],
)
def test_queries_are_read_in_every_form(tmp_path: Path, text: str) -> None:
    wanted = {"q1": Query("solar power"), "q2": Query("wind")}
    assert serp_files.read_queries(written(tmp_path, text)) == wanted
    assert serp_files.read_queries(written(tmp_path, gzip.compress(text.encode()), "packed.gz")) == wanted


def test_a_query_may_bring_its_instruction_and_odd_signs_become_a_runs(tmp_path: Path) -> None:
    file = written(tmp_path, '{"id": 7, "text": "a\\u0000b \\ud800", "instruction": "Find news."}\n')
    assert serp_files.read_queries(file) == {"7": Query("a b \ufffd", "Find news.")}


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("d1\tsolar\nd2\twind\n", ["solar", "wind"]),
        ("d1\tTitle\tsolar\nd2\t\twind\n", ["Title\n\nsolar", "wind"]),
        ("d1\thttps://x\tTitle\tsolar\nd2\t\t\twind\n", ["Title\n\nsolar", "wind"]),
        (
            '{"_id": "d1", "title": "Title", "text": "solar"}\n{"_id": "d2", "title": "", "text": "wind"}',
            ["Title\n\nsolar", "wind"],
        ),
        (
            '{"id": "d1", "contents": "solar"}\n{"docid": "d2", "body": "wind", "x": 1}\n',
            ["solar", "wind"],
        ),
    ],
)
def test_documents_are_read_in_every_form(tmp_path: Path, text: str, texts: list[str]) -> None:
    found = serp_files.read_documents(str(written(tmp_path, text)), None, None)
    assert found == dict(zip(("d1", "d2"), texts, strict=True))


def test_only_the_candidates_texts_are_kept_and_long_ones_are_cut(tmp_path: Path) -> None:
    file = written(tmp_path, "".join(f"d{n}\t{'x' * 30_000}\n" for n in range(50)))
    found = serp_files.read_documents(str(file), None, {"d7"})
    assert {name: len(text) for name, text in found.items()} == {"d7": serp_files.MAX_TEXT}


def test_runs_are_ordered_by_score_and_then_by_rank(tmp_path: Path) -> None:
    trec = "q1 Q0 d1 2 7.5 bm25\nq1 Q0 d2 1 9 bm25\nq1\tQ0\td3\t3\t7.5\tbm25\n\nq2 Q0 d1 1 -1e3 x\n"
    assert serp_files.read_candidates(written(tmp_path, trec)) == {
        "q1": [Candidate("d2", 9.0), Candidate("d1", 7.5), Candidate("d3", 7.5)],
        "q2": [Candidate("d1", -1000.0)],
    }
    marco = "q1\td2\t1\nq1\td1\t2\n"
    found = serp_files.read_candidates(written(tmp_path, marco))
    assert [one.document_id for one in found["q1"]] == ["d2", "d1"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("q1 Q0 d1 1 nan x\n", "line 1: 'q1 Q0 d1 1 nan x"),
        ("q1 Q0 d1 1 2.0 x\nq1 Q0 d1 one 2.0 x\n", "line 2"),
        ("q1 Q0 d1 1 2.0\n", "is not `query Q0 document rank score tag`"),
        ("q1 Q0 d1 1 2.0 x\nq1 Q0 d1 2 1.0 x\n", "line 2: query 'q1' has document 'd1' twice"),
        ("\n", "holds no candidate"),
        (b"q1 Q0 \xff 1 2.0 x\n", "line 1: not UTF-8 at byte 7"),
    ],
)
def test_a_wrong_line_of_a_run_is_named(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(InputError) as refused:
        serp_files.read_candidates(written(tmp_path, text))
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("q1\n", "line 1: 'q1"),
        ("q1\ta\nq1\tb\n", "line 2: query 'q1' was there before with another text"),
        ('{"id": "q1"}\n', "query 'q1' has no text"),
        ('{"text": "a"}\n', "there is no id"),
        ('{"id": "q 1", "text": "a"}\n', "holds a blank"),
        ('{"id": "q\\u00001", "text": "a"}\n', "holds a blank"),
        ('{"id": "q1", "text": "a"}\nq2\tb\n', "line 2: not JSON"),
        ('{"id": "q1", "text": "a"}\n[1]\n', "line 2: not an object but a list"),
        ("", "holds no query"),
    ],
)
def test_a_wrong_line_of_queries_is_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(InputError) as refused:
        serp_files.read_queries(written(tmp_path, text))
    assert why in str(refused.value)


def test_what_is_no_file_and_no_query_of_a_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file here"):
        serp_files.read_documents("documents.tsv", None, None)
    with pytest.raises(InputError, match="cannot be read"):
        serp_files.read_queries(tmp_path / "none")
    with pytest.raises(InputError, match="needs a database"):
        serp_files.read_documents("SELECT 1", None, None)
    with pytest.raises(InputError, match="none of the candidates' documents"):
        serp_files.read_documents(str(written(tmp_path, "d1\tx\n")), None, {"d2"})


def test_every_pair_is_a_candidate_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, documents = {"q1": Query("a"), "q2": Query("b")}, {"d1": "x", "d2": "y"}
    found = serp_files.every_pair(queries, documents)
    assert [[one.document_id for one in found[query]] for query in ("q1", "q2")] == [["d1", "d2"]] * 2
    monkeypatch.setattr(serp_files, "MOST_CANDIDATES", 3)
    with pytest.raises(InputError, match="2 queries × 2 documents are 4 pairs"):
        serp_files.every_pair(queries, documents)
