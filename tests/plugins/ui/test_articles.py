"""The article view: its place in every topic and why, its text, and its near-copies."""

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from view_reader import Reader

from rerank_airflow.ui import articles, render
from rerank_core.prepare import show


def test_an_article_says_where_it_stands_and_why(get, news):
    row = next(row for row in news.room.ranking("ai-policy") if row.pipeline == "news")
    text = re.sub(r"\s+", " ", Reader(get("/article", id=row.article_id)).text)
    assert row.title in text
    assert f"logit {render.logit(row.logit)} less" in text
    assert "As the model reads it" in text


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        ({"rank": 3, "ranked_by": "bm25"}, "not scored yet"),
        (
            {"rank": 1, "ranked_by": "model", "logit": 2.0, "rank_score": 1.0},
            "less 1.00 for 24 h of age at a half-life of 24 h",
        ),
        ({"refused": "too long"}, "refused it: too long"),
        (
            {"rank": 3, "ranked_by": "bm25", "refused": "too long"},
            "the scorer refused every pair of this query (too long); it follows in BM25 order",
        ),
        ({"languages": ["nb"], "document_lang": "no"}, "never among its candidates"),
        ({"languages": ["zh"], "document_lang": "und"}, "never among its candidates"),
        ({}, "never among its candidates"),
        ({"languages": ["zh"]}, "takes zh only"),
        ({"logit": -2.0, "min_score": 0.0}, "below the topic's least logit, +0.00"),
        ({"logit": 1.0, "last_rank_score": 2.0}, "outranked: +0.31 after decay"),
        ({"logit": 9.0, "last_rank_score": 2.0}, "not among the documents"),
        (
            {"rank": 4, "ranked_by": "bm25", "distrusted": 9},
            "by run 9 counts for nothing: the gate blocks that run; it follows",
        ),
        ({"distrusted": 9}, "its score by run 9 counts for nothing"),
    ],
)
def test_why_an_article_stands_where_it_does(standing, said):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    values = dict.fromkeys(
        ("rank", "ranked_by", "logit", "rank_score", "refused", "distrusted", "min_score", "last_rank_score")
    )
    lang = standing.get("document_lang", "en")
    revision = SimpleNamespace(began_at=now - timedelta(hours=24), hidden=None, document_lang=lang)
    one = SimpleNamespace(**{**values, "languages": [], "half_life_hours": 24.0, **standing})
    assert said in articles.why(one, revision, as_of=now)


def test_near_copies_are_named_with_the_row_that_stands_for_them(news, get):
    """The sample's three prints of one plan: two near-copies of zh-0001."""
    row = news.room.sql(
        "SELECT article_id, topic, copies, copy_sources FROM rerank.current_ranking"
        " WHERE pipeline = 'news' AND article_id = 'zh-0001' LIMIT 1"
    )[0]
    assert row.copies == 3
    assert f'title="{", ".join(row.copy_sources)}">3</td>' in get("/topic", slug=row.topic)
    text = re.sub(r"\s+", " ", Reader(get("/article", id="zh-0072")).text)
    assert "Other articles with this text, a near-copy of it, or its link" in text
    assert text.count("a near-copy") >= 3
    assert "shown as another article of its cluster" in get("/article", id="zh-0072")


def test_an_article_tells_its_letters_as_the_command_does(get, news):
    shown = show.show(database=news.room.database, settings=news.room.settings, article_id="en-0005")
    told = [re.findall(r"(\S+) (?:in|out)\b", line) for line in shown.steps["letters"]]
    assert told[2] == ["407", "363"]
    came, left = (sum(int(field[place].replace(",", "")) for field in told) for place in (0, 1))
    text = re.sub(r"\s+", " ", Reader(get("/article", id="en-0005")).text)
    assert f"Letters of title, summary and body: {came} in, {left} out" in text
