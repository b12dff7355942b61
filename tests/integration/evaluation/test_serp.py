"""A search engine's candidates: reranked, kept in a ledger by digests, resumed, forgotten, measured, and from the command."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from factories import Newsroom, make_topic

from rerank_core.cli import main
from rerank_core.errors import EngineError, InputError
from rerank_core.evaluation import serp_files
from rerank_core.evaluation.evaluate import report
from rerank_core.evaluation.serp import BUCKETS, Reranked, rerank_candidates
from rerank_core.evaluation.serp_files import Candidate, Query
from rerank_core.operations import maintain, removal

QUERIES = {"q1": Query("solar power"), "q2": Query("wind")}
DOCUMENTS = {"d1": "wind", "d2": "solar power plant", "d3": "solar", "d4": "solar power plant"}
CANDIDATES = {
    "q1": [Candidate("d1", 9.0), Candidate("d3", 8.0), Candidate("d2", 7.0)],
    "q2": [Candidate("d3", 3.0), Candidate("d1", 2.0)],
}


def rerank(room: Newsroom, candidates: Any = CANDIDATES, **options: Any) -> Reranked:
    values = {
        "queries": QUERIES,
        "documents": DOCUMENTS,
        "settings": room.settings,
        "database": room.database,
    }
    return rerank_candidates(candidates, **{**values, **options})


def lists(found: Reranked) -> dict[str, list[str]]:
    of: dict[str, list[str]] = {}
    for row in found.rows.to_pylist():
        of.setdefault(row["query_id"], []).append(row["document_id"])
    return of


def test_candidates_come_out_in_the_scorers_order(room: Newsroom) -> None:
    found = rerank(room)
    assert lists(found) == {"q1": ["d2", "d3", "d1"], "q2": ["d1", "d3"]}
    assert [row["rank"] for row in found.rows.to_pylist()] == [1, 2, 3, 1, 2]
    assert found.counts == {**dict.fromkeys(BUCKETS, 0), "scored": 5}
    assert next(found.trec("mine")).split()[:4] == ["q1", "Q0", "d2", "1"]


def test_what_was_scored_is_not_scored_again_and_no_engine_starts(room: Newsroom) -> None:
    first = rerank(room)
    engines = len(room.engines.built)
    again = rerank(room)
    assert len(room.engines.built) == engines
    assert again.counts["from_ledger"] == 5
    changed = ["bucket"]
    assert again.rows.drop_columns(changed).equals(first.rows.drop_columns(changed))


def test_control_without_a_ledger_everything_is_scored_again(room: Newsroom) -> None:
    for _ in range(2):
        assert rerank(room, database=None).counts["scored"] == 5
    assert room.value("SELECT count(*) FROM rerank.text_score") == 0


def test_equal_texts_are_scored_once(room: Newsroom) -> None:
    found = rerank(room, {"q1": [Candidate("d2", 2.0), Candidate("d4", 1.0)]})
    assert len(room.engines.asked) == 1
    assert lists(found) == {"q1": ["d2", "d4"]}
    logits = found.rows.column("logit").to_pylist()
    assert logits[0] == logits[1]


def test_a_score_that_a_run_gave_to_the_same_texts_counts(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", query="solar power"))
    room.add("solar power plant")
    room.run()
    row = room.sql("SELECT text, instruction FROM rerank.document, rerank.query")[0]
    engines = len(room.engines.built)
    found = rerank(
        room, {"q1": [Candidate("d2", 1.0)]}, documents={"d2": row.text}, instruction=row.instruction
    )
    assert found.counts["from_ledger"] == 1
    assert len(room.engines.built) == engines


def test_another_scorer_or_instruction_scores_for_itself(room: Newsroom) -> None:
    rerank(room)
    assert rerank(room, instruction="Find news.").counts["scored"] == 5
    room.engines.name = "other"
    assert rerank(room).counts["scored"] == 5


def test_a_command_that_was_ended_goes_on_where_it_stopped(room: Newsroom) -> None:
    many = {"q1": [Candidate(f"d{n}", -n) for n in range(40)]}
    documents = {f"d{n}": f"solar {n}" for n in range(40)}
    room.engines.options = {"pairs_per_chunk": 8, "fail_at_chunk": 3}
    with pytest.raises(EngineError):
        rerank(room, many, documents=documents)
    room.engines.options = {}
    told: list[tuple[int, int]] = []
    found = rerank(
        room, many, documents=documents, on_progress=lambda done, total: told.append((done, total))
    )
    assert (found.counts["from_ledger"], found.counts["scored"]) == (24, 16)
    assert told == [(8, 16), (16, 16)]


def test_every_candidate_is_in_one_bucket_and_those_without_a_score_follow(room: Newsroom) -> None:
    room.engines.options = {"refuse_text": "wind"}
    candidates = {
        "q1": [Candidate("gone", 9.0), Candidate("d1", 8.0), Candidate("d3", 7.0), Candidate("d2", 6.0)],
        "q3": [Candidate("d1", 1.0)],
    }
    found = rerank(room, candidates, depth=3)
    assert found.counts == {
        **{"scored": 1, "from_ledger": 0, "refused": 1},
        **{"below_depth": 1, "no_query": 1, "no_document": 1},
    }
    assert lists(found)["q1"] == ["d3", "gone", "d1", "d2"]
    scores = found.rows.column("score").to_pylist()[:4]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4
    assert found.rows.column("ranked_by").to_pylist()[:4] == ["model", *["candidates"] * 3]
    assert found.reasons == {"told to refuse it": 1}


def test_the_ledger_holds_digests_and_no_text(room: Newsroom) -> None:
    rerank(room, documents={**DOCUMENTS, "d2": "solar power XYZZY"})
    shown = "".join(row.text for row in room.sql("SELECT t::text AS text FROM rerank.text_score t"))
    assert "XYZZY" not in shown
    digest = hashlib.sha256(b"solar power XYZZY").digest()
    count = "SELECT count(*) FROM rerank.text_score WHERE document_digest = :digest"
    assert room.value(count, digest=digest) == 1


def test_forgetting_an_article_takes_the_scores_of_its_text_along(room: Newsroom) -> None:
    room.follow(make_topic(slug="tide", query="tide"))
    room.add("secret solar power")
    room.run()
    text = room.value("SELECT text FROM rerank.document")
    rerank(room, {"q1": [Candidate("d1", 1.0), Candidate("d2", 0.0)]}, documents={"d1": text, "d2": "solar"})
    forgotten = removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id="secret solar power",
        reason="court order",
    )
    assert forgotten.scores >= 1
    left = room.sql("SELECT document_digest FROM rerank.text_score")
    assert [bytes(row.document_digest) for row in left] == [hashlib.sha256(b"solar").digest()]


def test_old_scores_go_with_the_ledgers_retention(room: Newsroom) -> None:
    rerank(room)
    room.sql("UPDATE rerank.text_score SET scored_at = now() - interval '5 years' WHERE logit < 0")
    old = room.value("SELECT count(*) FROM rerank.text_score WHERE logit < 0")

    def clean(**options: bool) -> int:
        return maintain.maintain(
            database=room.database, store=room.resources.store, settings=room.settings, **options
        ).text_scores_deleted

    assert clean(dry_run=True) == clean() == old > 0
    assert room.value("SELECT count(*) FROM rerank.text_score") == 5 - old


def test_both_orders_are_measured(room: Newsroom) -> None:
    judged = {"q1": {"d2": 1}, "q2": {"d1": 1}}
    found = rerank(room)
    new, old = report([found.order("new", judged), found.candidate_order("old", judged)]).means
    assert new["RR"].value == 1.0
    assert old["RR"].value == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_sql_gives_documents_and_its_mistakes_are_named(room: Newsroom) -> None:
    room.add("a", title="solar 100 % power", body="at 12:30")
    sql = "SELECT article_id, title, body FROM rerank.source_article WHERE title LIKE '%100 \\%%' AND body <> ':x'"
    found = serp_files.read_documents(sql, room.database, {"a"})
    assert found == {"a": "solar 100 % power\n\nat 12:30"}
    with pytest.raises(InputError, match="the database refuses the SQL.*nowhere"):
        serp_files.read_documents("SELECT id FROM nowhere", room.database, None)
    with pytest.raises(InputError, match="cannot execute DELETE|refuses the SQL"):
        serp_files.read_documents(
            "WITH gone AS (DELETE FROM rerank.article RETURNING *) SELECT article_id AS id, title FROM gone",
            room.database,
            None,
        )
    assert room.value("SELECT count(*) FROM rerank.article") == 1


def command(room: Newsroom, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("RERANK_DATABASE_URL", room.settings.database_url)
    monkeypatch.setenv("RERANK_STORE_URL", room.settings.store_url)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_the_command_takes_a_trec_run_and_gives_one(
    room: Newsroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q.tsv").write_text("q1\tsolar power\nq2\twind\n")
    (tmp_path / "d.jsonl").write_text(
        "".join(f'{{"_id": "{d}", "text": "{t}"}}\n' for d, t in DOCUMENTS.items())
    )
    (tmp_path / "in.trec").write_text(
        "".join(f"{q} Q0 {c.document_id} 1 {c.score} bm25\n" for q, of in CANDIDATES.items() for c in of)
    )
    (tmp_path / "qrels").write_text("q1 0 d2 1\nq2 0 d1 1\n")
    given = ["--queries", str(tmp_path / "q.tsv"), "--documents", str(tmp_path / "d.jsonl")]
    given += ["--candidates", str(tmp_path / "in.trec"), "--qrels", str(tmp_path / "qrels")]
    out, parquet = tmp_path / "out.trec", tmp_path / "out.parquet"
    assert command(room, monkeypatch, "serp", *given, "--out", str(out), "--parquet", str(parquet)) == 0
    told = capfd.readouterr().err
    assert "5 scored, 0 from ledger" in told
    assert "5 of 5 pairs" in told
    assert "RR: reranked 1.000 (1.000 to 1.000), candidates 0.417" in told
    assert serp_files.read_candidates(out).keys() == CANDIDATES.keys()
    assert [one.document_id for one in serp_files.read_candidates(out)["q1"]] == ["d2", "d3", "d1"]
    assert pq.read_table(parquet).num_rows == 5
    assert sorted(file.name for file in tmp_path.iterdir() if file.name.startswith(".")) == []
    assert command(room, monkeypatch, "serp", *given) == 0
    assert capfd.readouterr().out == out.read_text()


def test_the_command_without_candidates_scores_every_pair(
    room: Newsroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    room.add("a", title="wind"), room.add("b", title="solar power plant")
    (tmp_path / "q.tsv").write_text("q1\tsolar power\n")
    sql = "SELECT article_id AS id, title AS text FROM rerank.source_article ORDER BY 1"
    given = ["serp", "--queries", str(tmp_path / "q.tsv"), "--documents", sql]
    assert command(room, monkeypatch, *given, "--no-ledger") == 0
    assert [line.split()[2] for line in capfd.readouterr().out.splitlines()] == ["b", "a"]
    assert command(room, monkeypatch, *given, "--out", str(tmp_path / "none" / "out")) == 1
    assert "is not there" in capfd.readouterr().err
    assert command(room, monkeypatch, *given, "--tag", "two words") == 1
