"""Examples: labels without what rank and age do, sides that share nothing, and nothing that was hidden or forgotten."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import newsrooms
import numpy as np
import pytest
from factories import Newsroom, make_topic
from readers import Readers, Rows, falling, read
from sqlalchemy import text

from rerank_core.cli import main
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.learning import examples, report
from rerank_core.learning.examples import Examples, Minimum
from rerank_core.operations import removal
from rerank_core.settings import Settings
from rerank_core.storage.database import Database

TOPICS = ("solar", "wind", "tide", "wave", "rain", "snow", "hail", "storm", "cloud", "heat")
SHOWN = """
SELECT p.run_id, r.slug AS topic, r.rank, r.revision_id, r.document_id, r.ranked_by,
       extract(epoch FROM p.as_of - r.began_at)::float8 / 3600 AS age
FROM rerank.publication p JOIN rerank.ranking r USING (publication_id) ORDER BY p.as_of, r.slug, r.rank
"""
KEEP = """
INSERT INTO rerank.feedback (event_id, pipeline, run_id, slug, rank, revision_id, event, happened_at)
SELECT format('%s %s %s', :event, d.run_id, d.revision_id) || d.slug || n, 'news', d.run_id, d.slug, d.rank, d.revision_id, :event, now()
FROM unnest(CAST(:run_id AS bigint[]), CAST(:topic AS text[]), CAST(:rank AS int[]), CAST(:revision_id AS bigint[]),
            CAST(:counts AS int[])) AS d (run_id, slug, rank, revision_id, count),
     generate_series(1, d.count) n
"""


def liking(title: str) -> float:
    """The true relevance of an article: half of them are three times as good as the others."""
    return 0.3 if title.endswith(("0", "2", "4", "6", "8")) else 0.1


@pytest.fixture(scope="module")
def news(
    postgres: EmbeddedPostgres, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Newsroom]:
    """Five hourly pages of ten topics that simulated readers have read; a part of the last page is not the model's."""
    engines, undo = newsrooms.installed_engines()
    url = postgres.create("learning", template=_migrated_template)
    store = tmp_path_factory.mktemp("store")
    room = Newsroom(Settings.load(database_url=url, store_url=store.as_uri()), engines)
    room.follow(*(make_topic(slug=slug, half_life_hours=2.0, top_k=12) for slug in TOPICS))
    for hour in range(5, 0, -1):
        for slug in TOPICS:
            for number in range(12 if hour == 5 else 3):
                at = room.ago(hours=hour, minutes=1 + 5 * number)
                room.add(
                    f"{slug} {hour}x{number}", ingested_at=at, body=f"{slug} {number} of {hour} " * number
                )
        if hour == 1:
            engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 10}
        room.run(f"hour {hour}", until=room.ago(hours=hour))
    engines.options = {}
    play(room)
    yield room
    undo()
    postgres.drop("learning")


def play(room: Newsroom) -> None:
    shown = room.sql(SHOWN)
    titles = dict(room.sql("SELECT document_id, max(article_id) FROM rerank.revision GROUP BY document_id"))
    column = {name: np.array([getattr(row, name) for row in shown]) for name in shown[0]._fields}
    documents, pair = np.unique(column["document_id"], return_inverse=True)
    liked = np.array([liking(titles[each]) for each in documents.tolist()])
    none = np.zeros(len(shown), dtype=np.int64)
    rows = Rows(pair.astype(np.int64), column["rank"], column["age"], none, none)
    done = read(
        np.random.default_rng(5), rows, liked, Readers(falling(), decay=0.1, readers=400.0, hides=0.01)
    )
    names = {name: column[name].tolist() for name in ("run_id", "topic", "rank", "revision_id")}
    for event, counts in (("impression", done.impressions), ("open", done.opens), ("hide", done.hides)):
        room.sql(KEEP, event=event, counts=counts.tolist(), **names)


@pytest.fixture
def rehearsal(news: Newsroom) -> Iterator[Database]:
    """The newsroom's database; what a test does to it is undone."""
    with news.database.rehearsal() as database:
        yield database


def collect(news: Newsroom, database: Database | None = None, **options: Any) -> Examples:
    return examples.collect(database or news.database, news.settings, **options)


def run(database: Database, statement: str, **values: Any) -> Sequence[Any]:
    with database.transaction() as connection:
        found = connection.execute(text(statement), values)
        return found.all() if found.returns_rows else []


def ratio(news: Newsroom, found: Examples) -> float:
    """The rate of the better half ÷ that of the others; three is the truth."""
    titles = dict(news.sql("SELECT document_id, max(article_id) FROM rerank.revision GROUP BY document_id"))
    sums = {0.3: [0.0, 0.0], 0.1: [0.0, 0.0]}
    for example in (*found.train, *found.held_out, *found.later):
        opens_and_weight = sums[liking(titles[example.document_id])]
        opens_and_weight[0] += example.label * example.weight
        opens_and_weight[1] += example.weight
    (better, most), (other, rest) = sums[0.3], sums[0.1]
    return (better / most) / (other / rest)


def overlap(found: Examples) -> set[int]:
    return {each.cluster for each in found.train} & {each.cluster for each in found.held_out}


def test_every_row_is_in_one_bucket_and_what_is_held_out_shares_neither_page_nor_cluster(
    news: Newsroom,
) -> None:
    found = collect(news)
    assert sum(found.buckets.values()) == news.value(
        "SELECT count(*) FROM (SELECT DISTINCT run_id, slug, rank FROM rerank.feedback) f"
    )
    assert (
        found.buckets["not_by_model"]
        == news.value("SELECT count(*) FROM rerank.ranking WHERE ranked_by <> 'model'")
        > 0
    )
    assert found.buckets["train"] > 100 < found.buckets["held_out"]
    assert not overlap(found)
    assert {each.cluster for each in found.later} <= {each.cluster for each in found.train}
    assert {each.topic for each in found.train} == {each.topic for each in found.held_out} == set(TOPICS)
    assert found.cut is not None
    assert all(each.published_at < found.cut for each in found.train)
    first_page = "SELECT count(*) FROM rerank.feedback JOIN rerank.run USING (run_id) WHERE until < :cut AND revision_id IN"
    first_page += " (SELECT revision_id FROM rerank.revision WHERE document_id = ANY(:ids))"
    for side, is_before in ((found.train, True), (found.held_out, False)):
        ids = [each.document_id for each in side]
        assert bool(news.value(first_page, cut=found.cut, ids=ids)) == is_before


def test_an_example_has_the_texts_as_the_model_read_them(news: Newsroom) -> None:
    example = collect(news).train[0]
    row = news.sql(
        "SELECT r.logit, d.text, d.lang, v.query, v.instruction FROM rerank.ranking r JOIN rerank.document d USING (document_id)"
        " JOIN rerank.topic_version v USING (topic_version_id) WHERE r.document_id = :id AND r.slug = :topic ORDER BY publication_id DESC",
        id=example.document_id,
        topic=example.topic,
    )[0]
    assert (example.text, example.language, example.query, example.instruction) == (
        row.text,
        row.lang,
        row.query,
        row.instruction,
    )
    assert example.logit == pytest.approx(row.logit)


def test_labels_are_without_rank_and_age_and_naive_ones_are_not(news: Newsroom) -> None:
    assert ratio(news, collect(news)) == pytest.approx(3, abs=0.4)
    assert ratio(news, collect(news, debiased=False)) > 3.8  # the better half stands higher


def test_the_same_events_give_the_same_examples(news: Newsroom) -> None:
    assert collect(news) == collect(news)


def test_a_row_that_was_opened_was_on_screen_even_if_nobody_said_so(
    news: Newsroom, rehearsal: Database
) -> None:
    run(rehearsal, "DELETE FROM rerank.feedback WHERE event = 'impression'")
    opened = "SELECT count(*) FROM (SELECT DISTINCT run_id, slug, rank FROM rerank.feedback WHERE event = 'open') f"
    found = collect(news, rehearsal, debiased=False)
    counted = sum(found.buckets.values()) - found.buckets["unseen"]
    assert counted == run(rehearsal, opened)[0][0]
    labels = [each.label for each in (*found.train, *found.held_out, *found.later)]
    assert 0.9 < np.mean(labels) <= 1  # every impression is an open; some were hidden


def test_what_is_missing_is_said(news: Newsroom, rehearsal: Database) -> None:
    assert collect(news, minimum=Minimum(examples=100)).missing == []
    assert collect(news, minimum=Minimum(examples=1000, curve=1.1)).missing == [
        f"train and held-out examples: {len([*collect(news).train, *collect(news).held_out])} are there, 1,000 are needed",
        next(
            said
            for said in collect(news, minimum=Minimum(curve=1.1)).missing
            if said.startswith("what rank 2 does is not known")
        ),
    ]
    run(rehearsal, "DELETE FROM rerank.feedback")
    nothing = collect(news, rehearsal)
    assert (len(nothing.train), len(nothing.missing), nothing.cut) == (0, 5, None)


def test_a_cluster_is_on_one_side_by_the_first_page_that_had_it(
    news: Newsroom, rehearsal: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = collect(news)
    copied, leader = found.held_out[0], found.train[0]
    run(
        rehearsal,
        "INSERT INTO rerank.near_copy (pipeline, document_id, leader_document_id, similarity, bands, article_id,"
        " first_ingested_at, began_at) VALUES ('news', :id, :leader, 0.9, '', 'any', now(), now())",
        leader=leader.document_id,
        id=copied.document_id,
    )
    again = collect(news, rehearsal)
    assert again.buckets["later"] > found.buckets["later"]
    assert not overlap(again)
    assert copied.document_id not in {each.document_id for each in again.held_out}

    whole = examples._read_pairs

    def careless(*args: Any) -> list[Any]:  # the control: each text is a cluster of its own
        return [replace(each, cluster=each.document_id) for each in whole(*args)]

    monkeypatch.setattr(examples, "_read_pairs", careless)
    assert copied.document_id in {each.document_id for each in collect(news, rehearsal).held_out}


def test_what_is_hidden_or_forgotten_is_in_no_example(news: Newsroom, rehearsal: Database) -> None:
    found = collect(news)
    blocked, forgotten = (
        run(rehearsal, "SELECT article_id FROM rerank.revision WHERE document_id = :id", id=each.document_id)[
            0
        ][0]
        for each in found.train[:2]
    )
    place = {"store": news.resources.store, "settings": news.settings, "reason": "asked"}
    removal.block(database=rehearsal, article_id=blocked, **place)
    removal.forget(database=rehearsal, article_id=forgotten, **place)
    again = collect(news, rehearsal)
    assert again.buckets["hidden"] > 0 < again.buckets["no_text"]
    assert sum(again.buckets.values()) == sum(found.buckets.values())
    texts = {each.text for each in (*again.train, *again.held_out, *again.later)}
    assert not {each.text for each in found.train[:2]} & texts
    assert found.train[2].text in texts


def test_forgetting_names_the_scorers_that_learned_from_the_article(
    news: Newsroom, rehearsal: Database
) -> None:
    found = collect(news)
    scorer_id = news.value("SELECT min(scorer_id) FROM rerank.scorer")
    texts = len({each.document_id for each in found.train})
    assert examples.keep_lessons(rehearsal, news.settings, scorer_id=scorer_id, learned=found.train) == texts
    assert examples.keep_lessons(rehearsal, news.settings, scorer_id=scorer_id, learned=found.train) == 0
    place = {"store": news.resources.store, "settings": news.settings, "reason": "asked"}
    article = "SELECT article_id FROM rerank.revision WHERE document_id = :id"
    learned = run(rehearsal, article, id=found.train[0].document_id)[0][0]
    other = run(rehearsal, article, id=found.held_out[0].document_id)[0][0]
    assert removal.forget(database=rehearsal, article_id=learned, **place).scorers == (scorer_id,)
    assert removal.forget(database=rehearsal, article_id=other, **place).scorers == ()


class TestReport:
    """`rerank feedback report`, of the same pages."""

    def test_it_counts_every_row_once_in_every_kind_of_group(
        self, news: Newsroom, rehearsal: Database
    ) -> None:
        made = report.make(rehearsal, news.settings)
        kept = "SELECT event, count(*) FROM rerank.feedback f JOIN rerank.run USING (run_id) WHERE EXISTS (SELECT FROM rerank.ranking r"
        kept += " JOIN rerank.publication p USING (publication_id) WHERE p.run_id = f.run_id AND r.revision_id = f.revision_id"
        kept += " AND (r.slug, r.rank, r.ranked_by) = (f.slug, f.rank, 'model')) GROUP BY event"
        events = dict(news.sql(kept))
        for groups in made.groups.values():
            assert sum(group.impressions for group in groups) == events["impression"]
            assert sum(group.opens for group in groups) == events["open"]
            assert sum(group.hides for group in groups) == events["hide"]
        assert [group.name for group in made.groups["rank"]] == [str(rank) for rank in range(1, 13)]
        assert {group.name for group in made.groups["topic"]} == set(TOPICS)
        assert made.rows["not by the model"] > 0

    def test_the_latest_one_is_kept(self, news: Newsroom, rehearsal: Database) -> None:
        with rehearsal.transaction() as connection:
            assert report.latest(connection, "news") is None
        report.make(rehearsal, news.settings, days=0.01)
        made = report.make(rehearsal, news.settings)
        with rehearsal.transaction() as connection:
            assert report.latest(connection, "news") == made

    def test_without_events_it_is_empty(self, news: Newsroom, rehearsal: Database) -> None:
        run(rehearsal, "DELETE FROM rerank.feedback")
        made = report.make(rehearsal, news.settings)
        assert (made.total.impressions, made.groups["topic"]) == (0, [])

    def test_the_command_prints_curves_and_groups(
        self, news: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def printed(*arguments: str) -> tuple[str, int]:
            with pytest.raises(SystemExit) as ended:
                main(["feedback", *arguments])
            return capsys.readouterr().out, ended.value.code or 0

        monkeypatch.setenv("RERANK_DATABASE_URL", news.settings.database_url)
        out, code = printed("report")
        assert code == 0
        assert re.search(r"^ *rank +factor +95 % interval", out, re.MULTILINE)
        assert re.search(r"^ *1 +1\.000 +1\.000 to 1\.000", out, re.MULTILINE)
        assert re.search(r"^solar +[\d,]+ +[\d,]+", out, re.MULTILINE)
        assert json.loads(printed("report", "--json")[0])["groups"]["rank"][0]["name"] == "1"
        assert printed("claim")[1] == 1
        news.sql("DELETE FROM rerank.feedback_report")
