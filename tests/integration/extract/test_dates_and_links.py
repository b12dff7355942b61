"""Dates that cannot be right sink no new story, and a link is read as a browser reads it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from factories import Newsroom, make_topic, statement_replaced

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.storage.database import statement_texts

AGING = make_topic(slug="solar", query="solar", half_life_hours=24.0, top_k=50)
ZEROS = [
    "1970-01-01T00:00:00Z",
    "1969-12-31T16:00:00-08:00",
    "1970-01-01T00:00:00+08:00",
    "1970-01-01T00:00:00-08:00",
    "1899-12-30T00:00:00Z",
    "1899-12-31T00:00:00Z",
    "1900-01-01T00:00:00Z",
    "1904-01-01T00:00:00Z",
    "1753-01-01T00:00:00Z",
    "1601-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0044-03-15 BC",
    "-infinity",
    "infinity",
    "10000-01-01T00:00:00Z",
]


def put(room: Newsroom, dates: dict[str, Any]) -> None:
    """Articles of these ids and dates, ingested ten minutes ago."""
    room.add(*dates, body="solar power")
    for article_id, date in dates.items():
        room.sql(
            "UPDATE rerank.article SET published_at = CAST(:date AS timestamptz) WHERE article_id = :id",
            date=str(date),
            id=article_id,
        )


@pytest.fixture
def elsewhere(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Another database, with the default source in it."""
    url = postgres.create("elsewhere_of_dates", template="template_news")
    yield url
    postgres.drop("elsewhere_of_dates")


def test_a_date_that_means_none_is_none_and_the_age_counts_from_ingestion(room: Newsroom) -> None:
    room.follow(AGING)
    put(room, {f"solar {zero}": zero for zero in ZEROS} | {"solar dated": room.ago(hours=2)})
    assert room.run()["extract"]["dates_ignored"] == len(ZEROS)
    rows = {row.article_id: row for row in room.ranking()}
    dated = rows.pop("solar dated")
    assert dated.began_at == dated.published_at == room.ago(hours=2)
    assert {row.published_at for row in rows.values()} == {None}
    assert {row.began_at for row in rows.values()} == {room.ago(minutes=10)}
    assert max(row.logit - row.rank_score for row in rows.values()) < 0.1


def test_dates_from_another_database_are_counted_alike(room: Newsroom, elsewhere: str) -> None:
    other = room.tuned(database_url=elsewhere)
    put(other, {f"solar {number}": zero for number, zero in enumerate(ZEROS)})
    far = room.tuned(pipeline="far", source_url=elsewhere)
    far.follow(AGING)
    assert far.run()["extract"]["dates_ignored"] == len(ZEROS)
    assert {row.published_at for row in far.ranking()} == {None}


def test_a_date_long_before_ingestion_stays_visible_and_does_not_age_the_article(room: Newsroom) -> None:
    freshness, year = timedelta(hours=room.settings.freshness_hours), timedelta(days=365)
    ingested = room.ago(minutes=10)
    within, beyond = ingested - freshness - year, ingested - freshness - year - timedelta(seconds=1)
    room.follow(AGING)
    put(room, {"solar within": within, "solar beyond": beyond, "solar later": room.now + timedelta(days=3)})
    assert room.run()["extract"]["dates_ignored"] == 1
    rows = {row.article_id: row for row in room.ranking()}
    assert (rows["solar beyond"].published_at, rows["solar beyond"].began_at) == (beyond, ingested)
    assert rows["solar within"].began_at == within
    assert rows["solar later"].began_at == ingested
    assert room.page()[-1] == "solar within"


def test_control_without_the_rule_an_article_of_1970_sinks(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    naive = statement_texts()["extract.claim"]
    for rule, broken in (
        ("CASE WHEN c.published_at >=", "CASE WHEN true OR c.published_at >="),
        ("AND NOT EXISTS (SELECT FROM unnest", "AND true OR NOT EXISTS (SELECT FROM unnest"),
        ("{keys}", room.settings.source_view),
        ("{rows}", room.settings.source_view),
    ):
        assert rule in naive
        naive = naive.replace(rule, broken)
    statement_replaced(monkeypatch, "extract.claim", naive)
    room.follow(AGING)
    put(room, {"solar a": "1970-01-01T00:00:00Z"})
    room.run()
    (row,) = room.ranking()
    assert row.rank_score < -10_000


def test_an_edit_is_measured_from_the_first_ingestion(room: Newsroom) -> None:
    room.follow(AGING)
    room.add("solar a", ingested_at=room.ago(hours=20), published_at=room.ago(hours=30))
    room.run("first", until=room.ago(hours=19))
    room.edit("solar a", body="solar edit", ingested_at=room.ago(hours=1), published_at=room.ago(days=5_000))
    assert room.run("second")["extract"]["dates_ignored"] == 1
    (row,) = room.ranking()
    assert row.began_at == room.ago(hours=20)


def test_the_count_stays_with_the_run_and_is_told_again(room: Newsroom) -> None:
    put(room, {"solar a": "1970-01-01T00:00:00Z", "solar b": room.ago(days=4_000), "solar c": room.now})
    run = room.open("k")
    assert room.stage("extract", run)["dates_ignored"] == 2
    assert room.stage("extract", run)["dates_ignored"] == 2
    assert room.value("SELECT dates_ignored FROM rerank.run") == 2
    assert (
        room.value("SELECT value FROM rerank.run_metric WHERE stage = 'extract' AND name = 'dates_ignored'")
        == 2
    )


def test_explain_says_why_an_old_article_counts_as_new(room: Newsroom) -> None:
    room.follow(AGING)
    put(room, {"solar a": room.ago(days=4_000), "solar b": room.ago(hours=2)})
    room.run()
    facts = {article_id: dict(room.explained(article_id).facts) for article_id in ("solar a", "solar b")}
    assert facts["solar a"]["age"] == "counts from ingestion: the source's date is long before it"
    assert "age" not in facts["solar b"]


LINKS = [
    ("\n   https://w.example/2026/tram4  ", "https://w.example/2026/tram4"),
    ("\t\r\nhttps://w.example/a\x0b", "https://w.example/a"),
    ("\u00a0\u3000https://w.example/a\u2028\u200b", "https://w.example/a"),
    ("\ufeffhttps://w.example/a\u200f", "https://w.example/a"),
    ("\x01\x1f https://w.example/a\x85\x9f", "https://w.example/a"),
    ("https://w.exa\nmple/a\t/b\r", "https://w.example/a/b"),
    ("htt\nps://w.example/a", "https://w.example/a"),
    ("https://w.example/a b", "https://w.example/a b"),
    ("https://w.example/中", "https://w.example/中"),
    (" javascript:alert(1)", None),
    ("/rel", None),
    ("//host/x", None),
    ("host/x", None),
    ("feed:https://w.example/a", None),
    ("data:text/html,x", None),
    (" \n ", None),
    ("", None),
    (None, None),
]


def test_a_link_loses_what_is_around_it_and_is_a_link_or_none(room: Newsroom) -> None:
    room.follow(AGING)
    for number, (url, _) in enumerate(LINKS):
        room.add(f"solar {number}", url=url, source=f"wire {number}")  # one link of one source is one row
    room.run()
    assert {row.article_id: row.url for row in room.ranking()} == {
        f"solar {number}": shown for number, (_, shown) in enumerate(LINKS)
    }
    stored = [row.url for row in room.sql("SELECT url FROM rerank.revision")]
    assert all(url is None or url == url.strip() != "" for url in stored)
