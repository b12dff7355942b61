"""News of a topic: what a move of the page changed is written with the move, whoever moves, and is honest."""

from typing import Any

import pytest
from factories import Newsroom, make_topic

from rerank_core.observe import announcements
from rerank_core.observe.changes import FIRST
from rerank_core.operations import pointer, removal, retention


def where(room: Newsroom) -> dict[str, Any]:
    return {"database": room.database, "store": room.resources.store, "settings": room.settings}


def told(room: Newsroom, topic: str = "solar") -> dict[str, tuple[Any, ...]]:
    """Of the move behind the page: article → (change, rank before, rank now)."""
    rows = room.sql(
        "SELECT article_id, change, rank_before, rank_now FROM rerank.recent_change"
        " WHERE pipeline = 'news' AND topic = :topic AND is_current",
        topic=topic,
    )
    return {row.article_id: (row.change, row.rank_before, row.rank_now) for row in rows}


def rerank(room: Newsroom, key: str, *articles: str) -> dict[str, Any]:
    """Publish a page with these articles in this order."""
    run = room.until("publish", key)
    scores = {name: float(100 - place) for place, name in enumerate(articles)}
    room.sql("UPDATE rerank.pair_score SET logit = -50")
    for name, logit in scores.items():
        room.sql(
            "UPDATE rerank.pair_score s SET logit = :logit FROM rerank.revision r"
            " WHERE r.article_id = :name AND r.document_id = s.document_id",
            name=name,
            logit=logit,
        )
    return room.stage("publish", run)


@pytest.fixture
def news(room: Newsroom) -> Newsroom:
    """Topic solar, of which five articles are on the page: a, b, c, d, e."""
    room.follow(make_topic(slug="solar", min_score=0, top_k=9))
    room.add(*(f"solar {name}" for name in "abcde"))
    rerank(room, "first", *(f"solar {name}" for name in "abcde"))
    return room


def test_the_first_page_has_no_page_before_it_and_no_news(news: Newsroom) -> None:
    assert news.page() == [f"solar {name}" for name in "abcde"]
    assert news.value("SELECT count(*) FROM rerank.change") == 0
    (move,) = announcements.pending(news.database, pipeline="news")
    assert (move.news.cause, move.news.from_publication_id) == ("published", None)


def test_an_article_enters_leaves_rises_and_falls(news: Newsroom) -> None:
    news.add("solar new")
    rerank(news, "second", "solar new", "solar b", "solar a", "solar d", "solar e")
    assert told(news) == {
        "solar new": ("entered", None, 1),
        "solar b": ("rose", 2, 2),  # the first of those that were there before
        "solar c": ("left", 3, None),
    }  # a has made room, and is a place lower; d and e have made room
    rerank(news, "third", "solar e", "solar b", "solar a", "solar d", "solar new")
    assert told(news) == {"solar e": ("rose", 5, 1), "solar new": ("fell", 1, 5)}
    rerank(news, "fourth", "solar e", "solar d", "solar a", "solar b", "solar new")
    assert told(news) == {}  # two places are no news


def test_a_page_that_is_the_same_has_no_news(news: Newsroom) -> None:
    rerank(news, "second", *(f"solar {name}" for name in "abcde"))
    assert told(news) == {}
    assert news.value("SELECT count(*) FROM rerank.pointer_move") == 2


def test_topics_that_come_and_go_bring_and_take_their_articles(news: Newsroom) -> None:
    news.follow(make_topic(slug="wind", query="solar", min_score=0))
    rerank(news, "second", "solar a")
    assert {change for change, *_ in told(news, "wind").values()} == {"entered"}
    assert {change for change, *_ in told(news, "solar").values()} == {"left"}


def test_a_rollback_says_what_came_back_and_that_it_was_one(news: Newsroom) -> None:
    first = news.standing().run_id
    news.add("solar new")
    rerank(news, "second", "solar new", "solar a")
    pointer.rollback(run_id=first, reason="wrong", **where(news))
    assert told(news)["solar new"] == ("left", 1, None)
    assert told(news)["solar b"] == ("entered", None, 2)
    causes = "SELECT DISTINCT cause FROM rerank.recent_change WHERE is_current"
    assert [row.cause for row in news.sql(causes)] == ["rollback"]
    news.run("held")  # publishes, and moves nothing
    assert [row.cause for row in news.sql(causes)] == ["rollback"]
    pointer.release(reason="right again", **where(news))
    assert [row.cause for row in news.sql(causes)] == ["release"]


def test_a_forgotten_article_is_in_no_news_and_nothing_else_moved(news: Newsroom) -> None:
    news.add("solar new")
    rerank(news, "second", "solar new", *(f"solar {name}" for name in "abcde"))
    removal.forget(article_id="solar new", reason="r", **where(news))
    assert told(news) == {}
    assert news.value("SELECT count(*) FROM rerank.recent_change WHERE article_id = 'solar new'") == 0
    moved = news.sql("SELECT what, slug FROM rerank.change ORDER BY pointer_move_id")
    assert [row.what for row in moved] == ["entered", "left"]  # ids stay, as in the rankings


def test_a_blocked_article_is_in_no_news_until_it_is_shown_again(news: Newsroom) -> None:
    news.add("solar new")
    rerank(news, "second", "solar new", *(f"solar {name}" for name in "abcde"))
    removal.block(article_id="solar new", reason="r", **where(news))
    assert told(news) == {}
    removal.unblock(article_id="solar new", **where(news))
    assert told(news) == {"solar new": ("entered", None, 1)}


def test_an_event_has_counts_and_the_best_that_entered(news: Newsroom) -> None:
    names = [f"solar n{number:02}" for number in range(FIRST + 5)]
    news.follow(make_topic(slug="solar", min_score=0, top_k=99))
    news.add(*names)
    published = rerank(news, "second", *names, "solar a")
    move = announcements.pending(news.database, pipeline="news")[-1]
    assert move.publication.publication_id == published["publication_id"]
    assert move.news.changes == {"entered": FIRST + 5, "left": 4, "rose": 0, "fell": 0}
    assert move.news.entered_first == [
        {"topic": "solar", "article_id": name, "rank": rank} for rank, name in enumerate(names[:FIRST], 1)
    ]
    assert announcements.current(news.database, pipeline="news").news == move.news


def test_news_go_with_the_publication_that_they_led_to(news: Newsroom) -> None:
    for number in (1, 2):
        news.add(f"solar {number}")
        rerank(news, f"k{number}", f"solar {number}")
    moves = [
        row.pointer_move_id
        for row in news.sql("SELECT DISTINCT pointer_move_id FROM rerank.change ORDER BY 1")
    ]
    assert len(moves) == 2
    news.sql("UPDATE rerank.publication SET published_at = published_at - interval '100 days'")
    news.sql("UPDATE rerank.pointer_move SET moved_at = moved_at - interval '100 days'")
    news.sql("UPDATE rerank.pointer SET moved_at = moved_at - interval '100 days'")
    work = retention.Work(news.database, news.resources.store, news.settings, news.now, dry_run=False)
    assert retention.delete_publications(work)["publications_deleted"] == 2
    left = [row.pointer_move_id for row in news.sql("SELECT DISTINCT pointer_move_id FROM rerank.change")]
    assert left == moves[1:]  # those behind the page
    (gone,) = news.sql("SELECT title, url FROM rerank.recent_change WHERE change = 'left'")
    assert (gone.title, gone.url) == (None, None)  # the page before is past retention
    assert told(news)["solar 2"] == ("entered", None, 1)


def test_a_publication_that_does_not_commit_leaves_no_news(
    news: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rerank_core.publish import publish

    def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("after the pointer has moved")

    news.add("solar new")
    with monkeypatch.context() as patch:
        patch.setattr(publish, "_settle_fills", die)
        with pytest.raises(RuntimeError):
            rerank(news, "second", "solar new")
    assert news.value("SELECT count(*) FROM rerank.change") == 0
    assert "solar new" not in news.page()
