"""The sample's run gives the rows that it always gave: a change of structure changes no page.

The numbers were taken with a fake engine, whose logits are a hash of the pair, so that every processor gives the same.
"""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from factories import Newsroom

from rerank_core.extract.articles import load_articles
from rerank_core.storage.topics_file import load_topics

SAMPLE = Path(__file__).resolve().parents[2] / "rerank_core" / "demo" / "sample"
AS_OF = datetime(2026, 11, 2, 13, tzinfo=UTC)  # an hour after the newest article


@pytest.fixture
def _clean_room_url(database_url: str) -> str:
    """A database of its own: the rows hold ids, and in a shared database these depend on the tests before."""
    return database_url


def test_the_sample_gives_the_same_rows_as_ever(room: Newsroom) -> None:
    room = room.tuned(fill_factor=1)
    load_articles(room.database, SAMPLE / "articles.jsonl")
    room.sql("UPDATE rerank.article SET ingested_at = published_at")
    room.follow(*load_topics(SAMPLE / "topics.yaml"))
    results = room.run("sample", until=AS_OF)
    published = results["publish"]
    rows = Counter(room.parquet(published).column("topic").to_pylist())
    assert (results["extract"]["claimed"], results["extract"]["invalid"]) == (167, 0)
    prepared = results["prepare"]
    assert (prepared["documents"], prepared["copies"], prepared["near_copies"], prepared["quarantined"]) == (
        163,
        3,
        7,
        1,
    )
    assert (results["rerank[0]"]["pairs"], results["rerank[0]"]["scored"]) == (1785, 1785)
    assert rows == {
        "ai-policy": 10,
        "central-bank-rates": 10,
        "chip-exports": 10,
        "ev-batteries": 10,
        "film-festival": 10,
        "floods": 20,
        "football": 10,
        "high-speed-rail": 10,
        "housing-market": 10,
        "new-iphone": 10,
        "space-flight": 10,
        "vaccines": 10,
    }
    assert published["rows_sha256"] == "7f35753eeadaec94e84fbedf49e9ba4be1cfefd202b002dffa842c915c704f75"
