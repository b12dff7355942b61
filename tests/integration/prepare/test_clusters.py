"""Clusters of near-copies through the real stages: one is scored, one row stands for all, and nobody's leaving loses it."""

from typing import Any

import pytest
from factories import Newsroom, make_topic, statement_replaced

from rerank_core.cli import pages
from rerank_core.errors import CorruptError
from rerank_core.evaluation import evaluate
from rerank_core.frontends import json_pages
from rerank_core.operations import maintain, removal
from rerank_core.prepare import clusters, prepare
from rerank_core.storage import artifacts
from rerank_core.storage.artifacts import clusters_of

STORY = (
    "The solar park on the old airfield was opened on Monday by the mayor, who thanked the people of the valley for their"
    " patience. Its panels stand on posts, so that sheep can graze between them, and feed a line that was laid beside the"
    " railway. The owners expect to supply every house of the town and its three villages, and to sell what is left in"
    " summer to the dairy. Farmers had feared for their larks; the first nests were counted in spring, beside the fence."
)
REPRINT = STORY.replace("was opened on Monday by the mayor", "has been opened on Monday by the lady mayor")
SHORTENED = STORY.partition(" Farmers had feared")[0]
OTHER = (
    "A solar boat has crossed the lake of the four cantons without a drop of fuel, and without a sound but that of water at"
    " its bow. Its builder, a retired teacher of physics, worked on it for nine winters in a barn, and tested the motor in"
    " his neighbour's pond. He means to take it down the river to the sea, if the locks let him pass; the keeper of the"
    " first has already asked for a ride. The panels were a present of his pupils, who signed each of them on the back."
)


@pytest.fixture(autouse=True)
def topic(room: Newsroom) -> None:
    room.follow("solar")


def story(room: Newsroom, name: str, body: str = STORY, *, hours: float = 1.0, **fields: Any) -> None:
    """An article that was ingested so many hours ago; its source is its name."""
    values = {"title": f"Solar park opens, says {name}", "source": name, **fields}
    room.add(name, body=body, ingested_at=room.ago(hours=hours), **{"article_id": name, **values})


def forget(room: Newsroom, article_id: str) -> None:
    removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article_id,
        reason="court order",
    )


def block(room: Newsroom, article_id: str) -> None:
    removal.block(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article_id,
        reason="hoax",
    )


def scored(room: Newsroom) -> list[str]:
    """The texts that engines were given."""
    return [pair.document for pair in room.engines.asked]


def test_one_of_a_cluster_is_scored_and_one_row_stands_for_all_with_its_copies(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    story(room, "gazette", SHORTENED, hours=1)
    story(room, "boat", OTHER)
    results = room.run()
    assert results["prepare"] | {"near_copies": 2, "documents": 4, "copies": 0} == results["prepare"]
    assert (
        results["recall"] | {"articles": 4, "documents": 2, "copies": 2, "near_copies": 2}
        == results["recall"]
    )
    assert results["rerank[0]"]["scored"] == 2
    assert not any("lady mayor" in text for text in scored(room))
    rows = {row.article_id: row for row in room.ranking()}
    assert set(rows) == {"agency", "boat"}
    assert (rows["agency"].copies, rows["agency"].copy_sources) == (3, ["agency", "courier", "gazette"])
    assert (rows["boat"].copies, rows["boat"].copy_sources) == (1, ["boat"])
    assert rows["agency"].scored_article_id == "agency"
    assert rows["agency"].scored_document_id == rows["agency"].document_id


def test_the_same_stands_in_the_file_and_on_the_json_page(room: Newsroom) -> None:
    story(room, "agency", hours=3, source='The "Agency", with \\ and {,}')
    story(room, "courier", REPRINT, hours=2)
    published = room.run()["publish"]
    (row,) = room.ranking()
    (in_file,) = room.parquet(published).to_pylist()
    for name in ("copies", "copy_sources", "began_at", "scored_document_id", "scored_article_id"):
        assert in_file[name] == getattr(row, name), name
    assert row.copy_sources == ['The "Agency", with \\ and {,}', "courier"]
    latest = json_pages.read_latest(room.resources.store, "news")
    assert latest is not None
    page = room.resources.store.read_json(json_pages.paths(latest)[0])
    assert page is not None
    assert b'"copy_sources":["The \\"Agency\\", with \\\\ and {,}","courier"]' in page


def test_the_commands_table_says_how_many_copies_a_row_stands_for(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    story(room, "boat", OTHER)
    room.run()
    monkeypatch.setenv("RERANK_DATABASE_URL", room.settings.database_url)
    monkeypatch.setenv("RERANK_STORE_URL", room.settings.store_url)
    pages.show()
    shown = capsys.readouterr().out
    assert "agency +1" in shown
    assert "boat +" not in shown


def test_a_near_copy_of_a_later_hour_costs_no_score_and_joins_the_row(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    room.run()
    story(room, "courier", REPRINT, hours=0.1)
    results = room.run()
    assert "rerank[0]" not in results
    assert results["recall"]["from_ledger"] == 1
    assert [(row.article_id, row.copies, row.is_new) for row in room.ranking()] == [("agency", 2, False)]


def test_a_preferred_source_stands_for_the_cluster_and_the_text_that_was_scored_is_named(
    room: Newsroom,
) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    story(room, "gazette", SHORTENED, hours=1)
    room.tuned(preferred_sources=("nobody", "gazette", "courier")).run()
    (row,) = room.ranking()
    assert (row.article_id, row.title) == ("gazette", "Solar park opens, says gazette")
    assert row.copy_sources == ["gazette", "courier", "agency"]
    assert row.scored_article_id == "agency"
    assert row.scored_document_id != row.document_id


@pytest.mark.parametrize("preferred", [(), ("courier",)])
def test_a_reprint_makes_no_story_young(room: Newsroom, preferred: tuple[str, ...]) -> None:
    room.follow(make_topic(slug="solar", query="solar", half_life_hours=10))
    story(room, "agency", hours=20, published_at=room.ago(hours=30))
    story(room, "courier", REPRINT, hours=1, published_at=room.ago(hours=1))
    room.tuned(preferred_sources=preferred).run()
    (row,) = room.ranking()
    assert row.article_id == (preferred or ("agency",))[0]
    assert row.began_at == room.ago(hours=30)
    age = (row.as_of - row.began_at).total_seconds() / 3600
    assert row.rank_score == pytest.approx(row.logit - 0.693147 * age / 10, abs=1e-3)


def test_a_copy_that_pretends_to_be_old_does_not_age_the_story(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2, published_at=room.ago(days=300))
    room.run()
    assert room.ranking()[0].began_at == room.ago(hours=3)


def test_when_the_first_article_has_left_the_window_the_copy_keeps_score_and_age(room: Newsroom) -> None:
    story(room, "agency", hours=70)
    story(room, "courier", REPRINT, hours=20)
    room.run()
    before = room.ranking()[0]
    later = room.tuned(freshness_hours=48.0)
    results = later.run()
    assert "rerank[0]" not in results
    (row,) = room.ranking()
    assert (row.article_id, row.copies, row.copy_sources) == ("courier", 1, ["courier"])
    assert (row.scored_article_id, row.scored_document_id) == ("agency", before.document_id)
    assert (row.logit, row.began_at) == (before.logit, room.ago(hours=70))


def test_a_new_topic_scores_the_text_of_a_leader_that_has_left_the_window(room: Newsroom) -> None:
    story(room, "agency", hours=70)
    story(room, "courier", REPRINT, hours=20)
    room.run()
    room.follow("solar", "mayor")
    later = room.tuned(freshness_hours=48.0)
    assert later.run()["rerank[0]"]["scored"] == 1
    assert later.page("mayor") == ["courier"]


@pytest.mark.parametrize("second", [STORY, REPRINT], ids=["exact", "near"])
@pytest.mark.parametrize("hide", ["block", "delete"])
@pytest.mark.parametrize("when", ["before the freeze", "before the publication"])
def test_another_copy_stands_in_where_the_first_is_hidden(
    room: Newsroom, second: str, hide: str, when: str
) -> None:
    story(room, "agency", hours=3, title="Solar park opens")
    story(room, "courier", second, hours=2, title="Solar park opens")
    run = room.until("recall" if when == "before the freeze" else "publish", "k")
    if hide == "block":
        block(room, "agency")
    else:
        room.sql("DELETE FROM rerank.article WHERE article_id = 'agency'")
    room.run("k")
    (row,) = room.ranking()
    assert (row.article_id, row.copies, row.copy_sources) == ("courier", 1, ["courier"])
    assert row.logit is not None
    assert row.scored_article_id == ("courier" if second == STORY else None if hide == "block" else "agency")
    assert len(scored(room)) == 1
    assert room.again(run).frozen


def test_control_where_a_page_knows_the_first_article_alone_its_hiding_takes_the_story(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    story(room, "boat", OTHER)
    room.until("publish", "k")
    original = artifacts.read_members

    def first_alone(*run: Any) -> Any:
        members = original(*run)
        return members.take(clusters_of(members)[0])

    monkeypatch.setattr(artifacts, "read_members", first_alone)
    block(room, "agency")
    room.run("k")
    assert room.page() == ["boat"]


def test_where_every_copy_is_hidden_there_is_no_row(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    story(room, "boat", OTHER)
    room.until("publish", "k")
    block(room, "agency")
    block(room, "courier")
    assert room.run("k")["publish"]["hidden"] == 2
    assert room.page() == ["boat"]


def test_a_rerun_that_finds_a_copy_hidden_says_why_its_rows_differ(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    story(room, "boat", OTHER)
    first = room.run("k")["publish"]
    assert room.run("k")["publish"]["rows_sha256"] == first["rows_sha256"]
    block(room, "courier")
    assert (
        room.run("k")["publish"]["difference"]
        == "copies: 1 rows count other copies, which were hidden or are shown again"
    )
    block(room, "agency")
    assert "deleted: 1 articles were hidden by hand" in room.run("k")["publish"]["difference"]


def test_a_forgotten_leader_is_replaced_and_the_story_is_scored_anew(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    story(room, "gazette", SHORTENED, hours=1)
    story(room, "boat", OTHER)
    room.run("first")
    forget(room, "agency")
    assert room.page() == ["boat"]
    results = room.run("second")
    assert results["rerank[0]"]["scored"] == 1
    (row,) = (one for one in room.ranking() if one.article_id != "boat")
    assert (row.article_id, row.scored_article_id, row.copies) == ("courier", "courier", 2)
    assert row.began_at == room.ago(hours=3), "the story is as old as it was"
    assert "lady mayor" in scored(room)[-1]
    assert "rerank[0]" not in room.run("third")
    assert sorted(room.page()) == ["boat", "courier"]


def test_a_leader_that_is_forgotten_between_freeze_and_publication_leaves_and_the_next_run_shows_its_copy(
    room: Newsroom,
) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    story(room, "boat", OTHER)
    room.until("publish", "k")
    forget(room, "agency")
    room.run("k")
    assert room.page() == ["boat"]
    assert not room.standing().missing
    assert room.run("next")["rerank[0]"]["scored"] == 1
    assert sorted(room.page()) == ["boat", "courier"]


def test_a_forgotten_article_whose_very_text_another_has_leaves_score_and_row_to_that_one(
    room: Newsroom,
) -> None:
    story(room, "agency", hours=3, title="Solar park opens")
    story(room, "courier", hours=2, title="Solar park opens")
    room.until("publish", "k")
    forget(room, "agency")
    assert room.run("k")["publish"]["rows"] == 1
    assert room.page() == ["courier"]
    assert len(scored(room)) == 1


def test_a_page_that_is_published_again_without_a_forgotten_article_keeps_what_its_rows_tell(
    room: Newsroom,
) -> None:
    story(room, "agency", hours=3, source='The "Agency", with \\ and {,}')
    story(room, "courier", REPRINT, hours=2, source="")
    story(room, "boat", OTHER, source=None)
    room.run()
    before = room.ranking()
    told = ("copies", "copy_sources", "began_at", "scored_document_id", "scored_article_id")
    forget(room, "boat")
    (row,) = room.ranking()
    (was,) = (one for one in before if one.article_id == "agency")
    assert row.version == was.version + 1
    assert [getattr(row, name) for name in told] == [getattr(was, name) for name in told]
    assert row.copy_sources == ['The "Agency", with \\ and {,}', ""]
    (in_file,) = room.parquet(
        {"parquet": room.resources.store.full_path(room.standing().parquet_path)}
    ).to_pylist()
    assert [in_file[name] for name in told] == [getattr(was, name) for name in told]


def test_control_a_leader_that_is_forgotten_without_a_successor_is_refused(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    room.run()
    monkeypatch.setattr(clusters, "promote", lambda connection, document_ids: 0)
    with pytest.raises(Exception, match="near_copy_leader_document_id_fkey"):
        forget(room, "agency")


def test_the_clean_up_of_a_leaders_text_gives_the_lead_to_the_next(room: Newsroom) -> None:
    story(room, "agency", hours=70)
    story(room, "courier", REPRINT, hours=20)
    room.run()
    room.sql("UPDATE rerank.revision SET document_id = NULL WHERE article_id = 'agency'")
    maintain.maintain(database=room.database, store=room.resources.store, settings=room.settings)
    assert room.sql("SELECT article_id, document_id = leader_document_id FROM rerank.near_copy") == [
        ("courier", True)
    ]


def test_the_ledgers_month_of_a_leader_is_kept_while_a_copy_may_be_ranked(room: Newsroom) -> None:
    story(room, "agency", hours=110)
    story(room, "courier", REPRINT, hours=60)
    room.tuned(freshness_hours=200.0).run()
    room.sql("UPDATE rerank.run SET fresh_since = until - interval '72 hours'")
    room.sql("SELECT rerank.ensure_month('2020-01-01')")
    room.sql(
        "UPDATE rerank.document SET month = '2020-01-01' FROM rerank.near_copy n"
        " WHERE n.document_id = document.document_id AND n.leader_document_id = n.document_id"
    )
    store, settings = room.resources.store, room.settings
    assert maintain.maintain(database=room.database, store=store, settings=settings).months_needed == 1
    room.sql("DELETE FROM rerank.near_copy WHERE document_id <> leader_document_id")
    assert maintain.maintain(database=room.database, store=store, settings=settings).months_dropped == 1


def test_an_article_that_was_edited_a_little_keeps_its_score_and_shows_its_new_text(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    room.run()
    room.edit("agency", body=REPRINT, title="Solar park opens at last")
    assert "rerank[0]" not in room.run()
    (row,) = room.ranking()
    assert (row.title, row.copies, row.scored_article_id) == ("Solar park opens at last", 1, "agency")
    assert row.scored_document_id != row.document_id


def test_meetings_of_other_days_stay_rows_of_their_own(room: Newsroom) -> None:
    for number, day in enumerate(("March 3", "March 4", "April 3")):
        story(
            room, f"desk {number}", f"On {day} the council met. " + STORY, title="Council meets on solar park"
        )
    prepared = room.run()["prepare"]
    assert (prepared["near_copies"], prepared["vetoed"]) == (0, 2)
    assert len(room.page()) == 3


def test_places_do_not_depend_on_the_order_in_which_a_run_prepares(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "BATCH", 1)
    story(room, "zebra", hours=3)  # the first by ingestion, the last by key
    story(room, "courier", REPRINT, hours=2)
    story(room, "agency", SHORTENED, hours=1)
    room.run()
    assert room.ranking()[0].scored_article_id == "zebra"


def test_texts_of_runs_that_were_never_published_are_placed_by_the_next(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    room.stage("extract", room.open("abandoned"))
    story(room, "courier", REPRINT, hours=2)
    room.run()
    assert [(row.article_id, row.copies) for row in room.ranking()] == [("agency", 2)]


def test_clusters_are_a_pipelines_own(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    room.run()
    other = room.tuned(pipeline="other", syndication_similarity=1.0)
    other.follow("solar")
    assert other.run()["rerank[0]"]["scored"] == 1, "the leader's score is in the ledger that they share"
    rows = room.sql(
        "SELECT article_id FROM rerank.current_ranking WHERE pipeline = 'other' ORDER BY article_id"
    )
    assert [row.article_id for row in rows] == ["agency", "courier"]


def test_left_out_it_places_nothing_and_texts_get_their_place_when_they_come_again(room: Newsroom) -> None:
    story(room, "agency", hours=3, title="Solar park opens")
    story(room, "courier", REPRINT, hours=2)
    without = room.tuned(prepare_without=("syndication",))
    assert without.run()["prepare"]["near_copies"] == 0
    assert without.page() == ["agency", "courier"] or len(without.page()) == 2
    assert room.value("SELECT count(*) FROM rerank.near_copy") == 0
    story(room, "gazette", hours=1, title="Solar park opens")
    story(room, "ledger", SHORTENED, hours=0.5)
    assert room.run()["prepare"]["near_copies"] == 1
    rows = {row.article_id: row.copies for row in room.ranking()}
    assert rows["agency"] == 3, "the agency's, the gazette's of the same text, and the ledger's"


def test_what_is_too_short_is_counted_and_stands_for_itself(room: Newsroom) -> None:
    room.add("solar 1", "solar one")
    room.run("k")
    assert len(room.page()) == 2
    found = room.sql(
        "SELECT value FROM rerank.run_metric WHERE stage = 'prepare' AND name = 'signature_short'"
    )
    assert [row.value for row in found] == [2]


def test_a_text_that_comes_again_long_after_begins_anew(room: Newsroom) -> None:
    story(room, "agency", hours=100, title="Solar park opens")
    short = room.tuned(freshness_hours=200.0, syndication_hours=10.0)
    short.run()
    story(room, "courier", hours=1, title="Solar park opens")
    room.tuned(syndication_hours=10.0).run()
    assert [(row.article_id, row.began_at) for row in room.ranking()] == [("courier", room.ago(hours=1))]


def test_clusters_that_changed_while_texts_were_compared_are_looked_at_again(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    story(room, "agency", hours=3)
    room.run("before")
    story(room, "courier", REPRINT, hours=2)
    original = clusters.place
    times: list[int] = []

    def interrupted(found: Any, **options: Any) -> Any:
        times.append(1)
        if len(times) == 1:  # another run leads meanwhile
            room.sql("UPDATE rerank.near_copy SET first_ingested_at = first_ingested_at - interval '1 year'")
        return original(found, **options)

    monkeypatch.setattr(clusters, "place", interrupted)
    room.run("k")
    assert len(times) == 2
    assert len(room.page()) == 2


def test_judgements_of_near_copies_count_once_through_the_article_that_stands(room: Newsroom) -> None:
    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    story(room, "boat", OTHER)
    room.run()
    judgements = {"solar": {"courier": 1, "agency": 0, "boat": 0}}
    (order,) = evaluate.orders(room.database, room.resources.store, judgements, pipeline="news", against=None)
    assert order.judgements == {"solar": {"agency": 1, "boat": 0}}
    assert order.tally == evaluate.Tally(judged=3, ranked=2, copies=1, not_ranked=0, absent=0, unjudged=0)


def test_dense_recall_embeds_the_text_that_is_scored_and_no_other(room: Newsroom) -> None:
    from rerank_core.recall.window import Window, read_members

    story(room, "agency", hours=3)
    story(room, "courier", REPRINT, hours=2)
    run = room.until("recall")
    with room.database.transaction(read_only=True) as connection:
        window = Window(read_members(connection, run))
    agency = room.value("SELECT document_id FROM rerank.revision WHERE article_id = 'agency'")
    assert window.document_ids.tolist() == [agency]


def test_revisions_that_do_not_add_up_stop_the_run(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    statement_replaced(
        monkeypatch,
        "prepare.count",
        "SELECT 2 AS revisions, 1 AS documents, 0 AS copies, 0 AS quarantined, 0 AS near_copies",
    )
    story(room, "agency")
    with pytest.raises(CorruptError, match="do not add up"):
        room.run()
