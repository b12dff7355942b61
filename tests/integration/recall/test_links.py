"""Articles of one source with one link are one row, the newest; other sources, and other links, keep their own."""

from typing import Any

import pytest
from factories import Newsroom
from sqlalchemy import text

from rerank_core.observe import history

LINK = "https://w.example/2026/tram-line"


@pytest.fixture(autouse=True)
def topic(room: Newsroom) -> None:
    room.follow("solar")


def sent(room: Newsroom, name: str, url: str | None = LINK, *, hours: float = 1.0, **fields: Any) -> None:
    """A short article about solar trams, whose title says its id."""
    values = {"title": f"Council backs solar tram, says {name}", "source": "w", "url": url, **fields}
    room.add(name, ingested_at=room.ago(hours=hours), **{"article_id": name, **values})


def rows(room: Newsroom) -> dict[str, int]:
    """Article → its copies, of each row."""
    return {row.article_id: row.copies for row in room.ranking()}


@pytest.mark.parametrize(
    "url",
    [
        LINK,
        f"\n   {LINK}  ",
        f"{LINK}?utm_source=rss",
        f"{LINK}?utm_source=rss&amp;utm_medium=feed&fbclid=abc#comments",
        f"{LINK}/",
        "HTTP://W.Example:80/2026/tram-line",
    ],
)
def test_two_ids_with_one_link_are_one_row_the_newest(room: Newsroom, url: str) -> None:
    sent(room, "guid-1", hours=3)
    sent(room, "guid-2", url, hours=2)
    recalled = room.run()["recall"]
    assert (
        recalled | {"articles": 2, "documents": 1, "copies": 1, "near_copies": 0, "same_link": 1} == recalled
    )
    (row,) = room.ranking()
    assert (row.article_id, row.scored_article_id, row.copies, row.copy_sources) == (
        "guid-2",
        "guid-2",
        2,
        ["w"],
    )
    assert row.began_at == room.ago(hours=3), "another id does not make an article young"
    assert [pair.document for pair in room.engines.asked] == ["Council backs solar tram, says guid-2"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"source": "v"}, "another source"),
        ({"url": "https://w.example/2026/bus-line"}, "another path"),
        ({"url": f"{LINK}?id=2"}, "another query"),
        ({"url": f"{LINK}#!/2"}, "a page of an application"),
        ({"url": "https://v.example/2026/tram-line"}, "another host"),
        ({"url": None}, "no link"),
    ],
)
def test_other_sources_and_other_links_keep_their_rows(
    room: Newsroom, fields: dict[str, Any], why: str
) -> None:
    sent(room, "guid-1", hours=3)
    sent(room, "guid-2", hours=2, **fields)
    assert room.run()["recall"]["same_link"] == 0
    assert rows(room) == {"guid-1": 1, "guid-2": 1}, why


@pytest.mark.parametrize(
    "url", ["https://w.example/", "https://w.example?utm_source=rss", "guid:12", "", None]
)
def test_a_link_to_a_whole_site_is_no_link_of_an_article(room: Newsroom, url: str | None) -> None:
    sent(room, "guid-1", url, hours=3)
    sent(room, "guid-2", url, hours=2)
    room.run()
    assert rows(room) == {"guid-1": 1, "guid-2": 1}


def test_the_newest_is_the_one_that_was_published_last_whenever_it_came(room: Newsroom) -> None:
    sent(room, "guid-2", hours=3, published_at=room.ago(hours=4))
    sent(room, "guid-1", hours=1, published_at=room.ago(hours=9))
    room.run()
    assert rows(room) == {"guid-2": 2}
    room.edit("guid-1", title="Council backs solar tram at last", published_at=room.ago(hours=4))
    room.run()
    assert rows(room) == {"guid-1": 2}, "of two times of publication that are the same, the later revision"


def test_a_newer_id_of_a_later_run_takes_the_row(room: Newsroom) -> None:
    sent(room, "guid-1", hours=3)
    room.run()
    sent(room, "guid-2", hours=0.1)
    assert room.run()["rerank[0]"]["scored"] == 1
    assert rows(room) == {"guid-2": 2}


def test_a_text_of_the_older_id_that_another_source_has_keeps_its_own_row(room: Newsroom) -> None:
    sent(room, "guid-1", hours=3, title="Council backs solar tram")
    sent(room, "other", "https://v.example/a", hours=2, title="Council backs solar tram", source="v")
    sent(room, "guid-2", hours=1, title="Solar tram is put off")
    room.run()
    assert rows(room) == {"guid-2": 2, "other": 1}


def test_when_the_newest_is_hidden_the_older_id_stands_in(room: Newsroom) -> None:
    sent(room, "guid-1", hours=3)
    sent(room, "guid-2", hours=2)
    room.run("k")
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'guid-2', 'hoax')")
    room.run("k")
    assert rows(room) == {"guid-1": 1}
    room.run("next")
    (row,) = room.ranking()
    assert (row.article_id, row.copies, row.copy_sources) == ("guid-1", 1, ["w"])
    assert (row.scored_article_id, len(room.engines.asked)) == (None, 1), (
        "the score stays that of the newest text"
    )
    room.sql("DELETE FROM rerank.block")
    room.run("last")
    assert rows(room) == {"guid-2": 2}


def test_explain_and_the_article_view_tell_of_the_link(room: Newsroom) -> None:
    sent(room, "guid-1", hours=3)
    sent(room, "guid-2", hours=2)
    room.run()
    found = room.explained("guid-1")
    assert (found.reason, found.sentence) == (
        "same_link",
        "Its source has article guid-2 with the same link, which stands at rank 1: the newest of them stands for all.",
    )
    assert dict(found.facts)["cluster"].endswith("2 texts: guid-2, guid-1; article guid-2 stands for them")
    with room.database.transaction(read_only=True) as connection:
        revision = history.list_revisions(connection, pipeline="news", article_id="guid-1")[0]
        copies = history.list_copies(connection, pipeline="news", article_id="guid-1", revision=revision)
    assert [(copy.article_id, copy.same) for copy in copies] == [("guid-2", "link")]


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://w.example/a?id=3&fbclid=x&b=2", "w.example/a?id=3&b=2"),
        ("https://w.example/?p=12&gclid=1", "w.example?p=12"),
        ("https://user:secret@w.example/a", "w.example/a"),
        ("https://w.example:8443/a", "w.example:8443/a"),
        ("https://w.example/A?utmost=1&ref=b", "w.example/A?utmost=1&ref=b"),
        ("https://w.example/a?b=1&a=2&b=3", "w.example/a?b=1&a=2&b=3"),
        ("https://bücher.example/ä?", "bücher.example/ä"),
        ("ftp://w.example/a", None),
        ("https:///a", None),
        ("https://", None),
        ("/2026/tram-line", None),
    ],
)
def test_what_a_url_names(room: Newsroom, url: str, link: str | None) -> None:
    with room.database.transaction(read_only=True) as connection:
        assert connection.execute(text("SELECT rerank.link_of(:url)"), {"url": url}).scalar() == link
