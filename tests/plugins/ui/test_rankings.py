"""The views of a publication: its topics, one topic in full, the search, and past publications."""

import re
from datetime import UTC
from types import SimpleNamespace

import newsrooms
import pytest
from view_reader import Reader

from rerank_airflow.ui import render


def test_rankings_show_each_topic_with_its_state_and_first_articles(get, news):
    text = Reader(get("/rankings")).text
    for row in news.room.sql(
        "SELECT topic, title FROM rerank.current_ranking WHERE pipeline = 'news' AND rank <= 3"
    ):
        assert row.topic in text
        assert row.title in text


def test_a_topic_shows_every_row_in_order_with_its_score(get, news):
    page = get("/topic", slug="ai-policy")
    rows = [row for row in news.room.ranking("ai-policy") if row.pipeline == "news"]
    shown = re.findall(r"class=\"title\" href=\"[^\"]*[?&;]id=([^\"&]*)", page)
    assert shown == [row.article_id for row in rows]
    assert all(render.logit(row.logit) in page for row in rows if row.logit is not None)


def test_rows_tell_how_they_moved_since_the_run_before(get, news):
    moved = {"entered": 0, "up": 0, "down": 0}
    for row in news.room.sql(
        "WITH placed AS (SELECT r.key, slug, article_id, rank FROM rerank.ranking"
        " JOIN rerank.publication USING (publication_id) JOIN rerank.run r USING (run_id) WHERE r.pipeline = 'news')"
        " SELECT slug, count(*) FILTER (WHERE b.rank IS NULL) AS entered, count(*) FILTER (WHERE b.rank > a.rank) AS up,"
        " count(*) FILTER (WHERE b.rank < a.rank) AS down FROM (SELECT * FROM placed WHERE key = :after) a"
        " LEFT JOIN (SELECT * FROM placed WHERE key = :before) b USING (slug, article_id) GROUP BY slug",
        before=newsrooms.KEYS[2],
        after=newsrooms.KEYS[3],
    ):
        text = get("/topic", slug=row.slug)
        for name in moved:
            assert text.count(f'class="{name}"') == getattr(row, name), (row.slug, name)
            moved[name] += getattr(row, name)
    assert moved["entered"]
    assert moved["down"]


@pytest.mark.parametrize(
    ("before", "known", "said"),
    [(5, {"t"}, "▲up 3"), (1, {"t"}, "▼down 1"), (2, {"t"}, "="), (None, {"t"}, "new"), (None, set(), "·")],
)
def test_a_change_of_rank_is_told_with_its_direction(before, known, said):
    parts = render.environment().get_template("parts.html").module
    row = SimpleNamespace(slug="t", rank=2, rank_before=before)
    assert Reader(str(parts.change(row, known))).text.strip() == said


def test_search_finds_titles_sources_and_topics_in_every_case(get):
    assert "Reserve" in Reader(get("/rankings", q="federal RESERVE")).text
    assert "Northline Wire" in get("/rankings", q="northline")
    assert "No ranked article" in get("/rankings", q="zxqj")
    assert "No ranked article" in get("/rankings", q="%")  # no pattern


def test_a_language_can_be_chosen(get):
    text = get("/rankings", lang="zh")
    assert 'class="wide">zh</td>' in text
    assert 'class="wide">en</td>' not in text


def test_time_travel_shows_a_past_page_and_says_so(get, news):
    room = news.room
    first = room.value("SELECT min(publication_id) FROM rerank.publication WHERE pipeline = 'news'")
    text = get("/rankings", publication=first)
    assert "This is a past publication" in text
    assert f"publication={first}" in text  # links stay in the past
    assert "This is a past publication" not in get("/rankings")
    moved = room.sql("SELECT moved_at FROM rerank.pointer_move WHERE pipeline = 'news' ORDER BY 1")
    at = (moved[0][0] + (moved[1][0] - moved[0][0]) / 2).astimezone(UTC).replace(tzinfo=None)
    assert "This is a past publication" in get("/rankings", at=at.isoformat())
    assert "Nothing was published yet" in get("/rankings", at="2001-01-01T00:00", status=404)
    assert "is no time" in get("/rankings", at="yesterday", status=422)
    get("/rankings", at="0001-01-01T00:00:00+14:00", status=422)


def test_a_blocked_article_is_not_shown_on_any_page_of_its_topic(get, news):
    room = news.room
    article = next(row for row in room.ranking("ai-policy") if row.pipeline == "news")
    assert article.title in get("/topic", slug="ai-policy")
    room.sql(
        "INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', :id, 'test')",
        id=article.article_id,
    )
    try:
        for query in ({}, {"publication": article.publication_id}):
            assert f"id={article.article_id}" not in get("/topic", slug="ai-policy", **query)
        assert "Not shown to readers" in get("/article", id=article.article_id)
    finally:
        room.sql("DELETE FROM rerank.block")
