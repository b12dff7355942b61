"""A correction joins the story that it corrects and stands for it; texts of other years, and other stories, stay apart."""

from datetime import timedelta
from typing import Any

import pytest
from factories import Newsroom

from rerank_core.prepare import near_copies

VERDICT = (
    "A jury found the former banker {} on Monday after a solar trial that lasted most of the spring. The judge thanked the"
    " jury and closed the session shortly after noon. Prosecutors had said that the banker moved the money of clients"
    " through a chain of companies, and that he lied to the supervisors when they asked. His lawyers said that the"
    " supervisors had known of every transfer and that the clients had been paid in full. The verdict ends a case that has"
    " occupied the financial press for years, and both sides said that they would study it closely."
)


@pytest.fixture(autouse=True)
def topic(room: Newsroom) -> None:
    room.follow("solar")


def verdict(
    room: Newsroom, name: str, outcome: str, *, mark: str = "", hours: float = 1.0, **fields: Any
) -> None:
    """A report of the verdict by a source of this name, ingested so many hours ago."""
    title = f"{mark}Jury finds former banker {outcome}"
    values = {"article_id": name, "source": name, "title": title, "body": VERDICT.format(outcome), **fields}
    room.add(name, ingested_at=room.ago(hours=hours), **values)


def rows(room: Newsroom) -> dict[str, int]:
    """Article → its copies, of each row."""
    return {row.article_id: row.copies for row in room.ranking()}


def test_guilty_and_not_guilty_are_two_rows(room: Newsroom) -> None:
    verdict(room, "agency", "guilty", hours=3)
    verdict(room, "courier", "not guilty", hours=2)
    verdict(room, "gazette", "guilty", hours=1)
    prepared = room.run()["prepare"]
    assert prepared | {"near_copies": 0, "copies": 1, "vetoed": 1, "corrections": 0} == prepared
    assert rows(room) == {"agency": 2, "courier": 1}


@pytest.mark.parametrize("preferred", [(), ("agency",)])
def test_a_correction_of_another_source_stands_for_what_it_corrects(
    room: Newsroom, preferred: tuple[str, ...]
) -> None:
    verdict(room, "agency", "guilty", hours=3)
    verdict(room, "courier", "not guilty", mark="CORRECTED: ", hours=2)
    tuned = room.tuned(preferred_sources=preferred)
    prepared = tuned.run()["prepare"]
    assert prepared | {"near_copies": 1, "vetoed": 0, "corrections": 1} == prepared
    (row,) = room.ranking()
    assert (row.article_id, row.title) == ("courier", "CORRECTED: Jury finds former banker not guilty")
    assert (row.copies, row.copy_sources, row.began_at) == (2, ["courier", "agency"], room.ago(hours=3))
    assert row.scored_article_id == "agency"


def test_without_its_mark_the_correction_is_another_story(room: Newsroom) -> None:
    verdict(room, "agency", "guilty", hours=3)
    verdict(room, "courier", "not guilty", mark="UPDATED: ", hours=2)
    room.run()
    assert rows(room) == {"agency": 1, "courier": 1}


def test_a_correction_of_a_later_run_stands_for_what_it_corrects_and_costs_no_score(room: Newsroom) -> None:
    verdict(room, "agency", "guilty", hours=3)
    room.run()
    verdict(room, "courier", "not guilty", mark="Correction: ", hours=0.1)
    assert "rerank[0]" not in room.run()
    assert rows(room) == {"courier": 2}


def test_who_prints_the_corrected_text_joins_the_correction_and_who_prints_the_error_stands_behind_it(
    room: Newsroom,
) -> None:
    verdict(room, "agency", "guilty", hours=4)
    verdict(room, "courier", "not guilty", mark="CORRECTED: ", hours=3)
    room.run()
    verdict(room, "gazette", "not guilty", hours=0.2)
    verdict(room, "herald", "guilty", hours=0.1, body=VERDICT.format("guilty") + " More follows.")
    room.run()
    assert rows(room) == {"courier": 4}


def test_of_two_corrections_the_later_stands(room: Newsroom) -> None:
    verdict(room, "agency", "guilty", hours=4)
    verdict(room, "courier", "not guilty", mark="CORRECTED: ", hours=3)
    verdict(room, "gazette", "not guilty", mark="CORRECTION: ", hours=2)
    room.run()
    assert rows(room) == {"gazette": 3}


def test_a_hidden_correction_leaves_the_row_to_the_others(room: Newsroom) -> None:
    verdict(room, "agency", "guilty", hours=3)
    verdict(room, "courier", "not guilty", mark="CORRECTED: ", hours=2)
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'courier', 'hoax')")
    room.run()
    assert rows(room) == {"agency": 1}


def test_a_correction_joins_the_story_that_is_most_like_it_and_no_story_that_is_less_like(
    room: Newsroom,
) -> None:
    """Two notices of one form: the correction of the second must not stand for the first."""
    form = (
        "The weather service has issued a severe solar storm warning for {a} County that stays in force until this evening."
        " Forecasters expect heavy rain, large hail and strong winds in the west of {a} County, with local flooding of roads"
        " and underpasses. People who live in {a} County should stay indoors, keep away from windows and follow the advice"
        " of the emergency services. Drivers should not try to cross flooded roads. The warning may be extended if the storm"
        " moves more slowly than expected."
    )
    for name, county, mark in (
        ("one", "Harlow", ""),
        ("two", "Benton", ""),
        ("three", "Benton", "CORRECTED: "),
    ):
        body = form.format(a=county) + (" Radar data of the evening follow." if mark else "")
        verdict(room, name, "-", title=f"{mark}Severe storm warning for {county} County", body=body)
    room.run()
    assert rows(room) == {"one": 1, "three": 2}


@pytest.mark.parametrize(
    ("published", "expected"),
    [(timedelta(hours=60), 1), (timedelta(hours=80), 2), (timedelta(days=365), 2), (None, 1)],
)
def test_texts_that_were_published_in_other_years_are_two_stories(
    room: Newsroom, published: timedelta | None, expected: int
) -> None:
    """A backfill ingests old news within hours of today's."""
    now = room.ago(hours=2)
    verdict(room, "agency", "guilty", hours=3, published_at=now)
    then = None if published is None else now - published
    body = VERDICT.format("guilty") + " More follows."
    verdict(room, "archive", "guilty", hours=1, body=body, published_at=then)
    room.run()
    assert len(rows(room)) == expected


def test_the_time_of_publication_is_kept_for_later_runs(room: Newsroom) -> None:
    verdict(room, "agency", "guilty", hours=3, published_at=room.ago(hours=3))
    room.run()
    body = VERDICT.format("guilty") + " More follows."
    verdict(room, "archive", "guilty", hours=0.1, body=body, published_at=room.ago(days=365))
    room.run()
    assert rows(room) == {"agency": 1, "archive": 1}


def test_control_without_a_veto_guilty_and_not_guilty_are_one_row(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_copies, "veto", lambda one, other: None)
    verdict(room, "agency", "guilty", hours=3)
    verdict(room, "courier", "not guilty", hours=2)
    room.run()
    assert rows(room) == {"agency": 2}
