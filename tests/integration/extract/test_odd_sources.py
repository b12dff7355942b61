"""Odd rows, odd hours and odd orders of runs cost no article its place and stop no pipeline."""

import pytest
from factories import Newsroom, make_topic, statement_replaced

WIDE = make_topic(slug="solar", top_k=100, candidate_limit=100)


def test_a_date_that_python_cannot_hold_is_left_away_and_stops_nothing(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar a", "solar b", "solar c")
    room.sql("UPDATE rerank.article SET published_at = '10000-01-01' WHERE article_id = 'solar a'")
    room.sql("UPDATE rerank.article SET published_at = '0044-03-15 BC' WHERE article_id = 'solar b'")
    room.sql("UPDATE rerank.article SET published_at = 'infinity' WHERE article_id = 'solar c'")
    room.run("k")
    assert set(room.page()) == {"solar a", "solar b", "solar c"}
    assert {row.published_at for row in room.ranking()} == {None}


def test_an_id_that_no_index_can_hold_is_counted_and_the_others_are_claimed(room: Newsroom) -> None:
    room.follow("solar")
    room.sql("CREATE TABLE story (id text)")
    room.sql("INSERT INTO story VALUES ('fine'), (''), (repeat('x', 2001))")
    room.sql(
        "CREATE VIEW feed AS SELECT id AS article_id, '1'::text AS version, now() - interval '1 minute' AS ingested_at,"
        " NULL::text AS url, 'solar' AS title, NULL::text AS summary, NULL::text AS body, 'en' AS lang,"
        " NULL::text AS source, NULL::timestamptz AS published_at FROM story"
    )
    found = room.tuned(source_view="public.feed").run("k")["extract"]
    assert (found["claimed"], found["invalid"]) == (1, 2)
    assert room.page() == ["fine"]


def test_a_link_that_is_none_to_a_page_is_not_shown(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar a", url="javascript:alert(1)")
    room.add("solar b", url="HTTPS://news.example/b")
    room.run("k")
    assert {row.article_id: row.url for row in room.ranking()} == {
        "solar a": None,
        "solar b": "HTTPS://news.example/b",
    }


def test_clearing_the_first_of_two_runs_with_one_until_leaves_the_page_and_loses_no_pair(
    room: Newsroom,
) -> None:
    room.follow(WIDE)
    room.add("solar base", ingested_at=room.ago(hours=1))
    until = room.ago(minutes=1)
    room.run("x", until=until)
    room.add(*[f"solar late {number}" for number in range(10)], ingested_at=room.ago(minutes=30))
    room.tuned(max_pairs=3).run("y", until=until)
    page = room.page()
    assert room.run("x")["publish"]["is_current"] is False
    assert room.page() == page
    room.run("z")
    assert len(room.page()) == 11
    assert room.standing().state == "full"


def test_an_edit_that_another_run_has_claimed_and_not_prepared_leaves_the_article_on_the_page(
    room: Newsroom,
) -> None:
    room.follow("solar")
    room.add("solar a", "solar b")
    room.run("k")
    other, mine = (room.open(key) for key in ("other", "mine"))
    room.stage("extract", mine)
    room.stage("prepare", mine)
    room.edit("solar a", body="solar news")
    assert room.stage("extract", other)["claimed"] == 1
    assert room.stage("recall", mine)["shards"] == ()
    for stage in ("degrade", "publish"):
        room.stage(stage, mine)
    assert (
        room.value(
            "SELECT key FROM rerank.run JOIN rerank.publication USING (run_id) JOIN rerank.pointer USING (publication_id)"
        )
        == "mine"
    )
    assert set(room.page()) == {"solar a", "solar b"}


def test_a_run_that_rescores_scores_the_whole_window_anew(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar a", "solar b")
    room.run("k")
    room.engines.asked.clear()
    found = room.run("again", rescore=True)
    assert found["recall"]["candidates"] == 2
    assert len(room.engines.asked) == 2


def test_control_without_rescore_a_filled_topic_is_not_scored_anew(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar a", "solar b")
    room.run("k")
    assert room.run("again")["recall"]["candidates"] == 0


def test_the_new_scorer_takes_over_before_the_page_runs_empty(room: Newsroom) -> None:
    room.follow(WIDE)
    room.add("solar old", ingested_at=room.ago(hours=1))
    room.run("k")
    room.add(*[f"solar {number}" for number in range(6)])
    room.engines.name = "new"
    room.tuned(max_pairs=3).run("l")
    assert room.standing().state == "partial"
    assert len(room.page()) == 3  # more than the one that the scorer before can rank


def test_a_claim_that_waited_for_a_preparing_run_is_owed_by_the_next(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar a")
    waiting = room.open("waiting")
    room.run("first")
    room.add("solar b", ingested_at=room.ago(minutes=5))
    room.stage("extract", waiting)  # claims after `first` has prepared, and dies
    assert room.value(
        "SELECT claimed_at > (SELECT max(prepared_at) FROM rerank.run) FROM rerank.run WHERE key = 'waiting'"
    )
    room.run("next")
    assert set(room.page()) == {"solar a", "solar b"}


def test_control_a_tie_broken_by_publication_gives_the_page_back_to_the_older_run(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = """
        INSERT INTO rerank.pointer (pipeline, publication_id)
        SELECT :pipeline, p.publication_id FROM rerank.publication p
        WHERE p.publication_id = :publication_id
          AND NOT EXISTS (SELECT FROM rerank.pointer c JOIN rerank.publication s USING (publication_id)
                          WHERE c.pipeline = :pipeline AND s.as_of > p.as_of)
        ON CONFLICT (pipeline) DO UPDATE SET publication_id = EXCLUDED.publication_id
        RETURNING publication_id
    """
    statement_replaced(monkeypatch, "publish.move_pointer", broken)
    room.follow(WIDE)
    room.add("solar base", ingested_at=room.ago(hours=1))
    until = room.ago(minutes=1)
    room.run("x", until=until)
    room.add("solar late", ingested_at=room.ago(minutes=30))
    room.run("y", until=until)
    assert room.run("x")["publish"]["is_current"] is True
