"""What arrives is counted with each run, and what has fallen silent is kept, told once, and found by the doctor."""

from datetime import timedelta
from typing import Any

import pytest
from factories import Newsroom

from rerank_core.observe import arrivals
from rerank_core.observe.arrivals import Quiet
from rerank_core.operations.doctor.silence import check_silence

WEEKS = 4


def arrive(room: Newsroom, source: str, *, every: int, until_hours_ago: int, lang: str = "en") -> None:
    """Articles of a source that earlier runs claimed: as the table has them, one each so many hours."""
    run = room.open(f"past {source}", until=room.ago(hours=until_hours_ago - 1))
    room.sql(
        "UPDATE rerank.run SET claimed_at = now(), prepared_at = now() WHERE run_id = :id", id=run.run_id
    )
    room.sql(
        "INSERT INTO rerank.arrival (run_id, source, lang, hour, articles)"
        " SELECT :id, :source, :lang, hour, 1 FROM generate_series(date_trunc('hour', CAST(:first AS timestamptz)),"
        " CAST(:last AS timestamptz), make_interval(hours => :every)) hour",
        id=run.run_id,
        source=source,
        lang=lang,
        first=room.ago(days=7 * WEEKS),
        last=room.ago(hours=until_hours_ago),
        every=every,
    )


def looked(room: Newsroom) -> list[Quiet]:
    with room.database.transaction(read_only=True) as connection:
        found = arrivals.latest(connection, room.settings.pipeline)
    assert found is not None
    return found[1]


@pytest.fixture
def news(room: Newsroom) -> Newsroom:
    """A room in which one source sends every three hours until today, and another did until two days ago."""
    room.follow("solar")
    arrive(room, "Herald", every=3, until_hours_ago=2)
    arrive(room, "Gazette", every=3, until_hours_ago=48)
    return room


def observed(room: Newsroom, key: str, **options: Any) -> dict[str, Any]:
    return room.run(key, **options)["observe"]


def test_a_run_counts_what_it_was_the_first_to_claim(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2", source="Herald")
    room.add("太阳能 发电", source="晨报", lang="zh")
    room.add("solar 3")
    room.run("one")
    room.edit("solar 1", body="another text")
    room.run("two")
    counted = "SELECT source, lang, sum(articles) AS n FROM rerank.arrival GROUP BY 1, 2 ORDER BY 1, 2"
    assert [tuple(row) for row in room.sql(counted)] == [
        ("", "en", 1),
        ("Herald", "en", 2),
        ("晨报", "zh", 1),
    ]


def test_a_source_that_has_fallen_silent_is_kept_and_told_once(news: Newsroom) -> None:
    first = observed(news, "one")
    assert first["silences"] == 1
    (sentence,) = first["fallen_silent"]
    assert sentence.startswith("source 'Gazette' has sent nothing since ")
    assert sentence.endswith("; its usual gap is 3 h, its longest 3 h")
    assert [(each.kind, each.name, each.usual_hours) for each in looked(news)] == [("source", "Gazette", 3)]
    assert observed(news, "two")["fallen_silent"] == ()
    assert observed(news, "one")["fallen_silent"] == ()  # a rerun
    assert (
        news.value("SELECT value FROM rerank.run_metric WHERE name = 'silences' ORDER BY run_id LIMIT 1") == 1
    )


def test_it_is_told_again_after_it_has_sent_something(news: Newsroom) -> None:
    observed(news, "one")
    news.add("solar 1", source="Gazette")
    assert observed(news, "two")["silences"] == 0
    assert looked(news) == []
    # As if that article were of another source: it has been silent all the time.
    news.sql(
        "UPDATE rerank.arrival SET source = 'Other' WHERE run_id = (SELECT max(run_id) FROM rerank.arrival)"
    )
    assert len(observed(news, "three")["fallen_silent"]) == 1


def test_of_a_past_hour_nothing_is_told(news: Newsroom) -> None:
    observed(news, "one")
    arrive(news, "Ledger", every=3, until_hours_ago=60)
    past = observed(news, "past", until=news.ago(hours=1))
    assert past["silences"] == 2
    assert past["fallen_silent"] == ()


def test_a_source_that_may_be_silent_is_not_told(news: Newsroom) -> None:
    tuned = news.tuned(quiet_sources=("Gazette",))
    assert observed(tuned, "one")["silences"] == 0


def test_with_no_days_nothing_is_looked_for(news: Newsroom) -> None:
    assert observed(news.tuned(silence_days=0.0), "one")["silences"] == 0


def test_a_language_of_one_silent_source_is_silent_too_and_everything_if_all_are(room: Newsroom) -> None:
    room.follow("solar")
    arrive(room, "Herald", every=3, until_hours_ago=2)
    arrive(room, "晨报", every=3, until_hours_ago=48, lang="zh")
    assert [text.partition(" has")[0] for text in observed(room, "one")["fallen_silent"]] == [
        "language zh",
        "source '晨报'",
    ]
    room.sql("DELETE FROM rerank.arrival WHERE source = 'Herald' AND hour > :at", at=room.ago(hours=72))
    assert [each.who for each in _looked_again(room)] == ["the whole intake"]


def _looked_again(room: Newsroom) -> list[Quiet]:
    observed(room, "two")
    return looked(room)


def test_counts_of_runs_long_ago_are_deleted(news: Newsroom) -> None:
    old = news.open("old", until=news.ago(days=7 * 40))
    news.sql(
        "INSERT INTO rerank.arrival (run_id, source, lang, hour, articles) VALUES (:id, 'Old', 'en', :at, 1)",
        id=old.run_id,
        at=news.ago(days=7 * 40),
    )
    observed(news, "one")
    assert news.sql("SELECT FROM rerank.arrival WHERE source = 'Old'") == []
    assert news.value("SELECT count(*) FROM rerank.arrival WHERE source = 'Herald'") > 200


def test_the_doctor_warns_with_source_time_and_usual_gap(news: Newsroom) -> None:
    before = check_silence(news.settings)
    assert (before.state, "has looked yet" in before.found) == ("ok", True)
    observed(news, "one")
    found = check_silence(news.settings)
    assert found.state == "warn"
    assert "source 'Gazette' has sent nothing since" in found.found
    assert "its usual gap is 3 h" in found.found
    assert "RERANK_QUIET_SOURCES" in found.advice
    observed(news.tuned(quiet_sources=("Gazette",)), "two")
    assert check_silence(news.settings).state == "ok"


def test_a_collapsed_language_is_told_with_both_counts(room: Newsroom) -> None:
    room.follow("solar")
    arrive(room, "Herald", every=1, until_hours_ago=1)
    room.sql("UPDATE rerank.arrival SET articles = 10 WHERE hour < :at", at=room.now - timedelta(hours=25))
    (volume, language) = _looked_again(room)
    assert (volume.collapsed, language.who, language.usual_articles) == (True, "language en", 240)
    assert "has collapsed: 2" in language.sentence
    assert "usually about 240" in language.sentence
