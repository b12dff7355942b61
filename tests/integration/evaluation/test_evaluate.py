"""Runs held against judgements: what is counted, what is compared, and what the commands print."""

import importlib.util
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from factories import Newsroom, make_topic

from rerank_core.demo.evaluate import evaluate as evaluate_sample
from rerank_core.errors import InputError, ModelError
from rerank_core.evaluation import evaluate, judgements
from rerank_core.evaluation.calibrate import calibrate
from rerank_core.models.embedding import FakeEmbedder


@pytest.fixture
def judged(room: Newsroom) -> Newsroom:
    """A topic whose three relevant articles are one that the model puts first, one copy, and one that it misses."""
    room.follow(make_topic(slug="solar", query="solar power plant", candidate_limit=4))
    narrow = room.tuned(fill_factor=1)
    hour = room.ago(hours=2).replace(minute=0, second=0, microsecond=0)
    narrow.add("solar power plant", ingested_at=hour)
    narrow.add("copy", title="solar power plant", ingested_at=hour + timedelta(minutes=1))
    narrow.add("solar solar", "power station", "wind plant", ingested_at=hour)
    narrow.add("a quiet roof", lang="de", ingested_at=hour)
    narrow.add("old solar power", ingested_at=room.ago(hours=90))
    narrow.run()
    return narrow


QRELS = {
    "solar": {
        "solar power plant": 2,
        "copy": 3,
        "solar solar": 0,
        "a quiet roof": 1,
        "old solar power": 1,
        "never seen": 1,
    },
    "tide": {"solar solar": 1},
}


def orders(room: Newsroom, qrels: Any = QRELS, **options: Any) -> list[evaluate.Order]:
    return evaluate.orders(
        room.database,
        room.resources.store,
        qrels,
        **{"pipeline": room.settings.pipeline, **options},
    )


def test_every_judgement_of_a_ranked_topic_lands_in_one_bucket(judged: Newsroom) -> None:
    model, light = orders(judged)
    assert model.tally == evaluate.Tally(judged=6, ranked=2, copies=1, not_ranked=1, absent=2, unjudged=2)
    assert light.tally == model.tally
    assert model.judgements == {"solar": {"solar power plant": 3, "solar solar": 0, "a quiet roof": 1}}
    assert model.scores["solar"].keys() == light.scores["solar"].keys()
    assert (model.name, light.name) == ("news, run " + model.name.rpartition(" ")[2], "BM25")


def test_an_edited_article_is_judged_by_its_latest_text(room: Newsroom) -> None:
    room.follow("solar")
    room.add("a", title="solar power")
    room.run()
    room.edit("a", title="solar wind")
    room.run()
    tally = orders(room, {"solar": {"a": 1}})[0].tally
    assert tally == evaluate.Tally(judged=1, ranked=1, copies=0, not_ranked=0, absent=0, unjudged=0)


def test_a_report_compares_the_model_with_bm25(judged: Newsroom) -> None:
    found = evaluate.report(orders(judged))
    assert found.topics == ("solar",)
    assert found.passed_over == 0
    assert found.values[0]["solar"]["R@50"] == 0.5
    assert found.values[0]["solar"]["RR"] == 1
    assert set(found.languages) == {"en", "de"}
    assert found.languages["de"][0]["R@50"].value == 0
    assert found.compared is not None
    assert found.compared["RR"].p == 1


def test_another_scorer_another_run_and_another_pipeline_can_be_compared_with(judged: Newsroom) -> None:
    first = judged.value("SELECT max(run_id) FROM rerank.run")
    number = judged.value("SELECT max(scorer_id) FROM rerank.scorer")
    same = orders(judged, against=f"scorer:{number}")
    assert same[0].scores == same[1].scores
    judged.engines.name = "other"
    shadow = judged.tuned(pipeline="shadow")
    shadow.follow(make_topic(slug="solar", query="solar power plant"))
    shadow.run()
    two = orders(judged, against="shadow")
    assert two[1].name.startswith("shadow, run ")
    assert two[1].scores["solar"].keys() > two[0].scores["solar"].keys()
    assert evaluate.report(two).values[1]["solar"]["R@50"] == 1
    back = orders(shadow, pipeline="shadow", against=f"run:{first}")
    assert back[1].scores == two[0].scores
    assert len(orders(judged, against=None)) == 1


def test_the_order_by_meaning_is_of_the_same_pairs(judged: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    model, meaning = orders(judged, against="meaning")
    assert meaning.name == "meaning"
    assert meaning.tally == model.tally
    assert meaning.scores["solar"].keys() == model.scores["solar"].keys()
    near = meaning.scores["solar"]
    assert near["solar power plant"] == pytest.approx(1, abs=1e-3)  # its text is the query
    assert all(0 < near[article] < 0.9 for article in near.keys() - {"solar power plant"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="news-rerank"):
        orders(judged, against="meaning")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"against": "bm52"},
            "against 'bm52' is not bm25, meaning, none, scorer:N or run:N; pipeline 'bm52' has no topics and no runs",
        ),
        ({"against": "scorer:999"}, "scorer 999 is not registered"),
        ({"against": "scorer:x"}, "names no scorer"),
        ({"against": "run:999999"}, "run 999999 does not exist"),
        (
            {"pipeline": "new"},
            r"pipeline 'new' has no topics and no runs \(perhaps 'news' is meant\); those with some are news",
        ),
        ({"run_id": 999999}, "run 999999 does not exist"),
    ],
)
def test_what_cannot_be_compared_is_named(judged: Newsroom, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        orders(judged, **options)


def test_judgements_of_other_topics_are_refused(judged: Newsroom) -> None:
    with pytest.raises(InputError, match="name no topic that is ranked here"):
        evaluate.report(orders(judged, {"tide": {"solar solar": 1}}))


def test_a_table_of_judgements_is_read(judged: Newsroom) -> None:
    judged.sql("CREATE TABLE public.qrels (topic text, article_id text, relevance numeric)")
    judged.sql("INSERT INTO public.qrels VALUES ('solar', 'copy', 2), ('solar', 'wind plant', 0)")
    with judged.database.transaction(read_only=True) as connection:
        found = judgements.read("public.qrels", connection)
        assert found == {"solar": {"copy": 2, "wind plant": 0}}
        with pytest.raises(InputError, match=r"rerank\.run lacks topic, article_id, relevance"):
            judgements.read("rerank.run", connection)
        with pytest.raises(InputError, match=r"'none\.tsv' is neither a file here nor a table"):
            judgements.read("none.tsv", connection)
        with pytest.raises(InputError, match="neither a file here nor a table"):
            judgements.read("qrels; DROP TABLE rerank.run", connection)
    judged.sql("INSERT INTO public.qrels VALUES ('solar', 'power station', 0.5)")
    with judged.database.transaction(read_only=True) as connection:
        with pytest.raises(InputError, match="is no whole number"):
            judgements.read("public.qrels", connection)


def test_the_samples_own_evaluation_holds_the_model_against_bm25_and_chance(
    judged: Newsroom, tmp_path: Path
) -> None:
    qrels = tmp_path / "qrels.tsv"
    qrels.write_text("solar\t0\tsolar power plant\t3\nsolar\t0\tsolar solar\t0\nsolar\t0\twind plant\t0\n")
    run = judged.value("SELECT max(run_id) FROM rerank.run")
    found = evaluate_sample(
        database=judged.database, store=judged.resources.store, run_id=run, qrels_file=qrels
    )
    assert [quality.order for quality in found] == ["model", "BM25", "random order"]
    assert found[0].ndcg == 1 > found[2].ndcg
    again = evaluate_sample(
        database=judged.database,
        store=judged.resources.store,
        run_id=run,
        qrels_file=qrels,
        embedder=FakeEmbedder(),
    )
    assert [quality.order for quality in again] == ["model", "meaning", "BM25", "random order"]
    assert again[1].ndcg == 1
    qrels.write_text("solar\t0\tnever seen\t3\n")
    with pytest.raises(InputError, match="scored none of the pairs"):
        evaluate_sample(database=judged.database, store=judged.resources.store, run_id=run, qrels_file=qrels)


@pytest.fixture
def many(room: Newsroom) -> Newsroom:
    room.follow(make_topic(slug="solar", query="solar power"))
    good = [f"solar power {number}" for number in range(6)]
    bad = [f"solar {number}" for number in range(6)]
    room.add(*good, *bad)
    room.sql("CREATE TABLE public.qrels (topic text, article_id text, relevance integer)")
    for title in (*good, *bad):
        room.sql(
            "INSERT INTO public.qrels VALUES ('solar', :title, :grade)", title=title, grade=int(title in good)
        )
    room.run()
    return room


def test_a_threshold_is_proposed_between_what_is_relevant_and_what_is_not(many: Newsroom) -> None:
    with many.database.transaction(read_only=True) as connection:
        qrels = judgements.read("public.qrels", connection)
    [found] = calibrate(orders(many, qrels, against=None)[0])
    assert found.min_score is not None
    assert 0.01 < found.min_score < 4
    assert (found.precision, found.recall) == (1, 1)


def test_the_commands_print_tables_a_plot_and_lines_for_topics(
    many: Newsroom, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rerank_core.cli import main

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    monkeypatch.setenv("RERANK_DATABASE_URL", many.settings.database_url)
    monkeypatch.setenv("RERANK_STORE_URL", many.settings.store_url)
    plot = tmp_path / "plot.svg"
    code, out, _ = command("eval", "--qrels", "public.qrels", "--plot", str(plot))
    assert code == 0
    assert "nDCG@10" in out
    assert "1 minus 2" in out
    assert "12 judgements: 12 ranked" in out
    assert plot.stat().st_size > 1_000
    code, out, _ = command("calibrate", "--qrels", "public.qrels")
    assert code == 0
    assert yaml.safe_load(out)["topics"][0]["slug"] == "solar"
    code, out, err = command("eval")
    assert (code, err) == (1, "rerank: give either --qrels FILE_OR_TABLE or --corpus FOLDER\n")
    code, out, err = command("eval", "--qrels", "public.qrels", "--plot", "plot.txt")
    assert (code, out) == (1, "")
    assert "its ending is none of" in err
    many.engines.asked.clear()
    scores = many.value("SELECT count(*) FROM rerank.pair_score")
    code, out, err = command("eval", "--qrels", "public.qrels", "--curve", "tokens=64,16")
    assert code == 0
    lines = [line.split() for line in out.splitlines() if line.lstrip().startswith(("16 ", "64 "))]
    assert [line[0] for line in lines] == ["16", "64"]
    assert lines[0][1:5] == lines[1][1:5]  # the fake reads no token of either limit
    assert len(many.engines.asked) == 2 * 12
    assert many.value("SELECT count(*) FROM rerank.pair_score") == scores
    code, out, err = command("eval", "--qrels", "public.qrels", "--curve", "words=3")
    assert (code, "write e.g. tokens=64" in err) == (1, True)
    code, out, _ = command("explain", "solar", "solar power 1")
    assert (code, out.startswith("Rank ")) == (0, True)
    code, out, err = command("explain", "nothing", "solar power 1")
    assert (code, out) == (1, "")
    events = tmp_path / "events.jsonl"
    row = many.ranking()[0]
    events.write_text(
        f'{{"run_id": {row.run_id}, "topic": "solar", "rank": 1, "revision_id": {row.revision_id},'
        ' "event": "open", "time": "2026-11-22T16:00:00Z"}\nbad\n'
    )
    code, out, err = command("feedback", "load", str(events))
    assert (code, "2 lines: 1 added" in out) == (0, True)
    assert "line 2: not JSON" in err
    events.write_text("bad\n")
    assert command("feedback", "load", str(events))[0] == 1
