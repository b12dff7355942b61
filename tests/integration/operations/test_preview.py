"""A preview says what a run would then do, and leaves no trace."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import Newsroom, make_topic, never

from rerank_core.errors import InputError
from rerank_core.models import scorers
from rerank_core.operations.preview import preview as previewing
from rerank_core.operations.preview.preview import preview
from rerank_core.operations.preview.records import Preview, TopicPreview
from rerank_core.records import Topic


def everything(room: Newsroom) -> dict[str, list[Any]]:
    """All rows of every table that a run or `topics apply` writes."""
    names = room.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'rerank' ORDER BY 1")
    return {
        row.tablename: room.sql(f"SELECT CAST(t AS text) FROM rerank.{row.tablename} t ORDER BY 1")
        for row in names
    }


def look(room: Newsroom, *wanted: Topic, **options: Any) -> Preview:
    return preview(room.database, room.settings, wanted, **options)


def only(found: Preview) -> TopicPreview:
    (topic,) = found.topics
    return topic


@pytest.fixture
def news(room: Newsroom) -> Newsroom:
    """A room with one run over two topics."""
    room.follow("solar", "wind")
    room.add("solar power", "solar panel", "wind solar", "wind farm", ingested_at=room.ago(hours=3))
    room.add("Solarstrom Anlage", lang="de", ingested_at=room.ago(hours=2))
    room.run("one")
    return room


def test_of_a_stored_topic_it_shows_the_page_that_is_there(news: Newsroom) -> None:
    found = only(look(news, make_topic(slug="solar")))
    assert found.stand == "stored"
    assert [row.article_id for row in found.rows] == news.page("solar")
    assert [row.logit for row in found.rows] == pytest.approx([row.logit for row in news.ranking("solar")])
    assert (found.cost.pairs, found.cost.known, found.difference) == (0, 5, None)


def test_what_it_says_of_a_new_topic_the_next_run_does(news: Newsroom) -> None:
    farms = make_topic(slug="farms", query="wind farm", must_not=("solar",), languages=("en",), top_k=2)
    found = only(look(news, make_topic(slug="solar"), farms, make_topic(slug="wind"), shown=["farms"]))
    assert (found.stand, found.eligible, found.recalled, found.cost.pairs) == ("new", 1, 1, 1)
    assert [(row.article_id, row.logit, row.ranked_by) for row in found.rows] == [("wind farm", None, "bm25")]
    news.follow("solar", "wind", farms)
    run = news.open("two")
    for stage in ("extract", "prepare", "recall"):
        news.stage(stage, run)
    assert news.wanted(run, "farms") == {"wind farm"}


@pytest.mark.parametrize("score", [0, 3])
def test_nothing_of_it_stays(news: Newsroom, score: int) -> None:
    news.add("solar 9")  # not claimed, so not looked at
    before = everything(news)
    found = look(
        news, make_topic(slug="new", query="solar farm"), make_topic(slug="solar", top_k=1), score=score
    )
    assert everything(news) == before
    assert found.articles == 5
    assert found.scored_now == score


def test_no_engine_is_built_unless_pairs_are_to_be_scored(
    news: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorers, "load", never)
    monkeypatch.setattr(scorers, "identity", never)
    assert only(look(news, make_topic(slug="x", query="solar farm"))).recalled == 5
    monkeypatch.undo()
    news.engines.install(monkeypatch)
    monkeypatch.setattr(scorers, "load", never)
    assert only(look(news, make_topic(slug="solar"), score=100)).cost.pairs == 0  # all is scored already


def test_scored_pairs_are_the_best_shared_fairly_and_get_the_scores_of_a_run(news: Newsroom) -> None:
    one, two = make_topic(slug="x", query="solar farm"), make_topic(slug="y", query="wind power")
    built = len(news.engines.built)
    found = look(news, one, two, score=4)
    assert len(news.engines.built) == built + 1
    assert [pair.query for pair in news.engines.asked[-4:]] == ["solar farm"] * 2 + ["wind power"] * 2
    scored = {
        topic.topic.slug: {row.article_id: row.logit for row in topic.rows if row.fresh_score}
        for topic in found.topics
    }
    assert [len(rows) for rows in scored.values()] == [2, 2]
    news.follow("solar", "wind", one, two)
    news.run("two")
    for slug, rows in scored.items():
        by_run = {row.article_id: row.logit for row in news.ranking(slug)}
        assert rows == pytest.approx({article_id: by_run[article_id] for article_id in rows})


def test_a_pair_that_the_scorer_refuses_has_no_row(news: Newsroom) -> None:
    news.engines.options = {"refuse_text": "wind farm"}
    found = only(look(news, make_topic(slug="x", query="farm"), score=100))
    assert "wind farm" not in [row.article_id for row in found.rows]


def test_words_that_match_nothing_are_told_by_query_and_language(news: Newsroom) -> None:
    news.add("太阳能 发电", lang="zh", ingested_at=news.ago(hours=1))
    news.run("two")
    topic = make_topic(
        slug="x", query="the solar xyzzy panels", queries={"zh": "太阳能 量子", "fr": "solaire"}
    )
    words = {each.query: each for each in only(look(news, topic)).queries}
    english, chinese, french = words.values()
    assert (english.unmatched, english.unused, english.documents) == (("xyzzy",), ("the",), 5)
    assert (chinese.unmatched, chinese.langs) == (("量子",), ("zh",))
    assert (french.documents, french.langs) == (0, ())


def test_filters_say_what_each_removes_and_what_it_alone_removes(news: Newsroom) -> None:
    topic = make_topic(
        slug="solar",
        query="solar",
        languages=("en",),
        must=("solar",),
        must_not=("wind", "nothing"),
        min_score=-3,
    )
    found = only(look(news, topic))
    assert {(each.field, each.value): (each.removed, each.alone) for each in found.filters} == {
        ("languages", "en"): (1, 0),  # the German text lacks `solar`, too
        ("must", "solar"): (2, 0),
        ("must_not", "wind"): (2, 1),
        ("must_not", "nothing"): (0, 0),
        ("min_score", "-3"): (0, 0),
    }
    assert (found.eligible, [row.article_id for row in found.rows]) == (
        2,
        ["solar power", "solar panel"],
    ) or ({row.article_id for row in found.rows} == {"solar power", "solar panel"})
    strict = only(look(news, replace(topic, min_score=19.0)))
    assert (strict.filters[-1].removed, strict.rows) == (2, ())


def test_languages_without_a_query_are_counted(news: Newsroom) -> None:
    told = only(look(news, make_topic(slug="x", query="The sun gives power to the houses")))
    assert told.without_query == {"de": 1}
    both = make_topic(slug="x", query="The sun gives power to the houses", queries={"de": "Solarstrom"})
    assert only(look(news, both)).without_query == {}
    assert only(look(news, replace(both, queries={}, languages=("en",)))).without_query == {}


def test_overlaps_are_with_topics_of_the_file_and_of_the_page(news: Newsroom) -> None:
    mine = make_topic(slug="x", query="solar", top_k=2)
    found = {
        each.topic.slug: {(overlap.slug, overlap.stored): overlap for overlap in each.overlaps}
        for each in look(news, mine, make_topic(slug="wind")).topics
    }
    assert set(found["x"]) == {("wind", False), ("solar", True)}
    assert (found["x"]["solar", True].shared, found["x"]["solar", True].rows) == (2, len(news.page("solar")))
    assert found["wind"]["x", False].shared == found["x"]["wind", False].shared


def test_beside_the_stored_version_it_says_what_enters_and_leaves(news: Newsroom) -> None:
    page = news.page("solar")
    short = only(look(news, make_topic(slug="solar", top_k=2)))
    assert short.stand == "edited"
    assert short.difference is not None
    assert (short.difference.compared_by, short.difference.fields) == ("model", ("top_k",))
    assert [article_id for article_id, _ in short.difference.left] == page[2:]
    assert short.difference.entered == ()
    asked = only(look(news, make_topic(slug="solar", query="wind farm", must=("wind",)))).difference
    assert asked is not None
    assert (asked.compared_by, asked.fields) == ("bm25", ("query", "must"))
    assert asked.entered == (("wind farm", "wind farm"),)
    assert (asked.candidates_entered, asked.candidates_left) == (0, 3)


def test_cost_counts_pairs_an_hour_and_seconds_at_the_measured_speed(news: Newsroom) -> None:
    cost = only(look(news, make_topic(slug="x", query="solar farm"))).cost
    assert cost.pairs == 5
    assert cost.pairs_an_hour == pytest.approx(5 / 4, abs=0.3)  # five texts since three hours ago
    scored, seconds = (
        news.value(
            "SELECT value FROM rerank.run_metric WHERE stage = 'rerank[0]' AND name = :name", name=name
        )
        for name in ("scored", "score_seconds")
    )
    assert cost.seconds == pytest.approx(5 * seconds / scored)
    assert cost.seconds_an_hour == pytest.approx(cost.pairs_an_hour * seconds / scored)


def test_before_the_first_run_nothing_is_known_and_nothing_breaks(room: Newsroom) -> None:
    found = look(room, make_topic(slug="x"))
    assert (found.documents, found.scorer_id) == (0, None)
    assert (only(found).rows, only(found).cost.seconds, only(found).cost.pairs) == ((), None, 0)
    assert look(room).topics == ()


def test_hidden_articles_are_not_shown(news: Newsroom) -> None:
    news.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'solar power', 'test')")
    assert "solar power" not in [row.article_id for row in only(look(news, make_topic(slug="solar"))).rows]


def test_a_large_window_is_cut_to_its_newest_articles_and_says_so(news: Newsroom) -> None:
    news.flood("late", articles=10)
    news.run("two")
    found = look(news, make_topic(slug="solar"), most_articles=10)
    assert (found.cut, found.since, found.articles) == (True, news.ago(hours=2), 10)
    assert look(news, make_topic(slug="solar"), most_articles=3).articles == 3  # of ten with one time
    assert look(news, make_topic(slug="solar"), most_articles=100).cut is False


def test_the_window_may_end_in_the_past(news: Newsroom) -> None:
    found = look(news, make_topic(slug="solar"), until=news.now - timedelta(hours=2.5))
    assert found.articles == 0  # no run has claimed anything before that


def test_too_many_topics_and_unknown_slugs_are_refused(
    news: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewing, "MOST_TOPICS", 2)
    many = [make_topic(slug=slug) for slug in ("a", "b", "solar")]
    with pytest.raises(InputError, match="3 topics are too many for one preview, 2 is the most; name some"):
        look(news, *many)
    assert only(look(news, *many, shown=["solar"])).topic.slug == "solar"
    with pytest.raises(InputError, match=r"there is no topic 'solr' \(perhaps 'solar' is meant\)"):
        look(news, *many, shown=["solr"])


def test_a_query_without_a_vector_is_recalled_by_words_and_told(
    news: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = news.tuned(recall="dense")  # nothing was embedded: words recall
    found = look(dense, make_topic(slug="x", query="solar farm"))
    assert found.strategy == "bm25"
    assert {row.recalled_by for row in only(found).rows} <= {"bm25", "all"}
