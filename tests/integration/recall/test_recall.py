"""What a run wants scored, and that it never changes once frozen."""

from contextlib import closing
from typing import Any

import pytest
from factories import FakeEngines, Newsroom, make_topic, never
from sqlalchemy import create_engine

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.errors import CorruptError, FencedError, InputError
from rerank_core.models import scorers
from rerank_core.observe import history
from rerank_core.settings import Settings
from rerank_core.storage import migrations


def recall(room: Newsroom, key: str | None = None, **options: Any) -> tuple[Any, dict[str, Any]]:
    """A run that is frozen, and recall's counts."""
    run = room.until("recall", key, **options)
    return run, room.stage("recall", run)


def test_each_hour_of_ingestion_brings_its_best(room: Newsroom) -> None:
    room.follow(make_topic(candidate_limit=2))
    room.add("seed")
    room.run()
    for hour in (5, 9):
        for words in ("solar solar", "solar energy", "solar energy and much else besides", "wind"):
            room.add(f"{words} {hour}", ingested_at=room.ago(hours=hour))
    run, found = recall(room)
    assert room.wanted(run) == {"solar solar 5", "solar energy 5", "solar solar 9", "solar energy 9"}
    assert (found["candidates"], found["claimed_documents"]) == (4, 8)


def test_a_topic_that_is_not_filled_recalls_the_best_of_the_whole_window(room: Newsroom) -> None:
    room.follow("wind")
    room.add(*(f"solar {number}" for number in range(6)), ingested_at=room.ago(hours=20))
    room.add("too old solar", ingested_at=room.ago(hours=73))
    room.run()
    room.follow("wind", make_topic(candidate_limit=2))
    run, found = recall(room.tuned(fill_factor=2))
    assert len(room.wanted(run)) == 4
    assert found["claimed_documents"] == 0
    room.stage("rerank", run, shard=0)
    room.stage("degrade", run)
    room.stage("publish", run)
    again, found = recall(room.tuned(fill_factor=2))
    assert room.wanted(again) == set()
    assert found["carried"] == 4 + 6


def test_a_document_without_any_match_is_wanted_only_where_all_fit(room: Newsroom) -> None:
    room.follow(make_topic(candidate_limit=2))
    room.add("solar", "apples")
    assert room.wanted(recall(room.tuned(fill_factor=1), "all fit")[0]) == {"solar", "apples"}
    room.add("pears")
    assert room.wanted(recall(room.tuned(fill_factor=1), "too many")[0]) == {"solar"}


def test_a_topic_takes_only_documents_of_its_languages(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", languages=("de", "fr")), make_topic(slug="any", query="solar"))
    room.add("solar en", lang="en")
    room.add("solar de", lang="de")
    run, _ = recall(room)
    assert room.wanted(run, "solar") == {"solar de"}
    assert room.wanted(run, "any") == {"solar de", "solar en"}


def test_a_document_is_matched_against_the_query_of_its_language(room: Newsroom) -> None:
    room.follow(make_topic(query="solar", queries={"zh": "太阳能"}, candidate_limit=2))
    room.add("solar plan", "wind plan", "rain plan")
    room.add("太阳能发电", "市场水果", "solar 水果", lang="zh")
    run, _ = recall(room.tuned(fill_factor=1))
    assert room.wanted(run) == {"solar plan", "太阳能发电"}
    queries = dict(tuple(row) for row in room.sql("SELECT query, query_id FROM rerank.query"))
    assert {row["article_id"]: row["query_id"] for row in room.pairs(run)} == {
        "solar plan": queries["solar"],
        "太阳能发电": queries["太阳能"],
    }


def test_must_and_must_not_terms_hold_as_words_in_any_case(room: Newsroom) -> None:
    room.follow(make_topic(query="chips", must=("AI",), must_not=("fish", "薯片")))
    room.add(
        "ai chips", "AI芯片 chips", "he said chips", "AI fish and chips", "AI chips 薯片", "AI fishing chips"
    )
    run, _ = recall(room)
    assert room.wanted(run) == {"ai chips", "AI芯片 chips", "AI fishing chips"}


def test_terms_hold_in_a_database_whose_locale_knows_ascii_alone(
    postgres: EmbeddedPostgres, store_url: str, engines: FakeEngines
) -> None:
    server = create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    with closing(server.connect()) as connection:
        connection.exec_driver_sql("CREATE DATABASE locale_c LOCALE 'C' TEMPLATE template0")
    migrations.upgrade(postgres.url("locale_c"))
    room = Newsroom(Settings.load(database_url=postgres.url("locale_c"), store_url=store_url), engines)
    assert not room.value("SELECT 'МОСКВА' ~* 'москва'")
    room.follow(
        make_topic(slug="elsewhere", query="линию", must_not=("москва",)),
        make_topic(slug="moscow", query="линию", must=("москва",)),
    )
    room.add("МОСКВА ОТКРЫЛА НОВУЮ ЛИНИЮ", "Казань открыла линию")
    run, _ = recall(room)
    assert room.wanted(run, "elsewhere") == {"Казань открыла линию"}
    assert room.wanted(run, "moscow") == {"МОСКВА ОТКРЫЛА НОВУЮ ЛИНИЮ"}


def test_over_budget_the_topics_share_fairly_and_the_rest_is_carried_over(room: Newsroom) -> None:
    room.follow("solar", "wind")
    room.add("solar wind 1", "solar wind 2", "solar wind 3")
    room = room.tuned(max_pairs=4)
    first = room.run("first")
    assert (first["recall"]["candidates"], first["recall"]["left_out"]) == (4, 2)
    assert [(room.standing(topic).state, room.standing(topic).left_out) for topic in ("solar", "wind")] == [
        ("partial", 1)
    ] * 2
    assert [len(room.page(topic)) for topic in ("solar", "wind")] == [2, 2]
    second = room.run("second")
    assert (second["recall"]["from_ledger"], second["rerank[0]"]["scored"], second["recall"]["left_out"]) == (
        4,
        2,
        0,
    )
    assert [room.standing(topic).state for topic in ("solar", "wind")] == ["full"] * 2
    assert "rerank[0]" not in room.run("third")


def test_a_frozen_run_does_not_see_later_articles_edits_or_settings(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2")
    run, found = recall(room, "frozen")
    before = room.pairs(run)
    room.follow(make_topic(query="wind", must_not=("solar",)), "extra")
    room.add("solar 3")
    room.edit("solar 1", title="wind instead")
    room.run("newer")
    again = room.stage("recall", run)
    assert again["claimed_later"] == 2, "the frozen run says what it does not see"
    assert {name: again[name] for name in found if name not in {"seconds", "claimed_later"}} == {
        name: found[name] for name in found if name not in {"seconds", "claimed_later"}
    }
    assert room.pairs(run) == before
    results = room.run("frozen")
    assert sorted(room.parquet(results["publish"]).column("article_id").to_pylist()) == ["solar 1", "solar 2"]
    assert set(room.parquet(results["publish"]).column("topic").to_pylist()) == {"solar"}


def test_control_a_run_that_is_not_frozen_yet_sees_them(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    run = room.until("recall", "not frozen")
    room.follow("extra")
    room.stage("recall", run)
    assert {row["topic"] for row in room.pairs(run)} == {"extra"}


def test_an_overtaken_try_freezes_nothing(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    room.follow("solar")
    room.add("solar 1")
    run = room.until("recall", "k")
    original = room.resources.store.write

    def overtaken(*arguments: Any) -> Any:
        room.sql("UPDATE rerank.run SET fence = fence + 1")
        return original(*arguments)

    monkeypatch.setattr(room.resources.store, "write", overtaken)
    with pytest.raises(FencedError):
        room.stage("recall", run)
    assert not room.again(run).frozen
    assert room.value("SELECT count(*) FROM rerank.run_topic") == 0


def test_every_topic_is_scored_by_one_shard_and_all_shards_together_score_everything(room: Newsroom) -> None:
    room = room.tuned(shards=3)
    room.follow("solar", "wind", "rain", "snow")
    room.add("solar wind", "rain snow")
    results = room.run()
    assert [shard["shard"] for shard in results["recall"]["shards"]] == [0, 1, 2]
    assert sum(results[f"rerank[{shard}]"]["scored"] for shard in range(3)) == 8
    assert room.value("SELECT count(*) FROM rerank.pair_score") == 8


def test_a_shard_without_topics_is_not_asked_for(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    assert [shard["shard"] for shard in recall(room.tuned(shards=5))[1]["shards"]] == [0]


def test_what_was_scored_before_stays_on_the_page_in_a_quiet_hour(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2")
    room.run()
    page = room.page()
    found = room.run()
    assert (found["recall"]["candidates"], found["recall"]["carried"]) == (0, 2)
    assert room.page() == page != []


def test_an_article_that_was_edited_is_ranked_by_its_new_text_alone(room: Newsroom) -> None:
    room.follow("solar")
    room.add("a", title="solar now")
    room.run()
    room.edit("a", title="solar then")
    room.run()
    assert [row.title for row in room.ranking()] == ["solar then"]
    room.edit("a", title="", body="<p></p>")
    room.tuned(gate_empty_share=1.0).run()
    assert room.page() == []


def test_the_copy_that_came_first_stands_for_the_text_and_counts_the_others(room: Newsroom) -> None:
    room.follow("solar")
    room.add("late copy", title="solar", ingested_at=room.ago(hours=1))
    room.add("original", title="solar", ingested_at=room.ago(hours=2))
    room.run()
    assert [(row.article_id, row.copies) for row in room.ranking()] == [("original", 2)]


def test_where_the_first_copy_is_blocked_the_next_one_stands_for_the_text(room: Newsroom) -> None:
    room.follow("solar")
    room.add("late copy", title="solar", ingested_at=room.ago(hours=1))
    room.add("original", title="solar", ingested_at=room.ago(hours=2))
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'original', 'court')")
    room.run()
    assert room.page() == ["late copy"]


class TestNewScorer:
    """Another model takes a topic over when its fill is complete, and not before."""

    def test_the_page_is_ranked_by_the_one_before_until_then(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1", "solar 2", "solar 3")
        room.run()
        before = room.standing().scorer_id
        room.engines.name = "newer"
        found = room.tuned(max_pairs=2).run()
        assert (found["rerank[0]"]["scored"], found["recall"]["left_out"]) == (2, 1)
        assert (room.standing().scorer_id, room.standing().state) == (before, "partial")
        assert {row.scorer_id for row in room.ranking()} == {before}
        assert len(room.page()) == 3
        found = room.tuned(max_pairs=2).run()
        assert found["rerank[0]"]["scored"] == 1
        assert room.standing().state == "full"
        assert {row.scorer_id for row in room.ranking()} == {room.standing().scorer_id} != {before}
        assert len(room.page()) == 3

    def test_a_run_limited_to_other_topics_does_not_blank_the_page(self, room: Newsroom) -> None:
        room.follow("solar", "wind")
        room.add("solar wind")
        room.run()
        before = room.standing("wind").scorer_id
        room.engines.name = "newer"
        room.run(topics=("solar",))
        assert room.standing("solar").scorer_id != before
        assert (room.page("wind"), room.standing("wind").scorer_id) == (["solar wind"], before)

    def test_an_outage_after_the_change_does_not_bring_the_old_one_back(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run()
        room.engines.name = "newer"
        room.run()
        newer = room.standing().scorer_id
        room.engines.options = {"fail_at_chunk": 0}
        for title in ("solar 2", "solar 3"):
            room.add(title)
            room.run()
            assert room.standing().state == "degraded"
            assert room.page()[0] == "solar 1"
            assert room.ranking()[0].scorer_id == newer

    @pytest.mark.parametrize("limit", [10, 1])
    def test_going_back_to_the_old_one_scores_what_it_has_not_seen(self, room: Newsroom, limit: int) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run()
        room.engines.name = "newer"
        room.add("solar 2", "solar 3")
        room.tuned(max_pairs=limit).run()
        room.engines.name = "fake"
        room.run()
        assert sorted(room.page()) == ["solar 1", "solar 2", "solar 3"]
        assert room.standing().state == "full"


class TestNothingIsPassedBy:
    """Whatever kept a topic from some documents, the next run makes good."""

    @pytest.fixture
    def room(self, room: Newsroom) -> Newsroom:
        room.follow("solar", "wind")
        room.add("solar wind 1")
        room.run()
        return room

    def check(self, room: Newsroom) -> None:
        found = room.run()
        assert sorted(room.page("wind")) == ["solar wind 1", "solar wind 2"]
        assert room.standing("wind").state == "full"
        assert found["rerank[0]"]["scored"] == 1
        assert "rerank[0]" not in room.run()

    def test_a_topic_that_was_off_for_a_while(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar wind 2")
        room.run()
        room.follow("solar", "wind")
        self.check(room)

    def test_a_query_that_was_another_one_for_a_while(self, room: Newsroom) -> None:
        room.follow("solar", make_topic(slug="wind", query="rain"))
        room.add("solar wind 2")
        room.run()
        room.follow("solar", "wind")
        self.check(room)

    def test_a_run_that_was_limited_to_other_topics(self, room: Newsroom) -> None:
        room.add("solar wind 2")
        room.run(topics=("solar",))
        assert (room.page("wind"), room.standing("wind").state) == (["solar wind 1"], "stale")
        self.check(room)

    @pytest.mark.parametrize("stage", ["prepare", "recall", "rerank"])
    def test_a_run_that_died_after_its_claim(self, room: Newsroom, stage: str) -> None:
        room.add("solar wind 2")
        room.until(stage, "died")
        room.follow("wind")
        self.check(room)
        assert not any(row.is_new for row in room.ranking("wind"))

    def test_a_degraded_run_of_an_older_time_that_is_published_after_a_good_one(self, room: Newsroom) -> None:
        room.follow("wind")
        good = room.until("publish", "good")
        room.add("solar wind 2")
        room.engines.options = {"fail_at_chunk": 0}
        room.stage("publish", good)
        assert not room.run("older", until=room.ago(minutes=5))["publish"]["is_current"]
        room.engines.options = {}
        self.check(room)

    def test_a_rerun_that_finds_scores_gone_and_the_engine_down(self, room: Newsroom) -> None:
        room.follow("wind")
        room.add("solar wind 2")
        room.run("k")
        room.sql(
            "DELETE FROM rerank.pair_score USING rerank.revision r"
            " WHERE r.document_id = pair_score.document_id AND article_id = 'solar wind 2'"
        )
        room.engines.options = {"fail_at_chunk": 0}
        assert room.run("k")["publish"]["degraded"]
        room.engines.options = {}
        self.check(room)


def test_a_run_of_an_older_time_fills_a_topic_that_is_new_since(room: Newsroom) -> None:
    room.follow("wind")
    room.add("solar early", ingested_at=room.ago(hours=80))
    room.run("then", until=room.ago(hours=79))
    room.follow("solar")
    room.add("solar now")
    room.run("now")
    assert room.page() == ["solar now"]
    found = room.run("backfill", until=room.ago(hours=78))["publish"]
    assert room.parquet(found).column("article_id").to_pylist() == ["solar early"]
    assert "rerank[0]" not in room.run("next")


def test_a_run_limited_to_an_unknown_topic_is_refused(room: Newsroom) -> None:
    room.follow("solar")
    with pytest.raises(InputError, match=r"no active topic 'solr' \(perhaps 'solar' is meant\)"):
        room.open("typo", topics=("solar", "solr"))


def test_a_run_whose_topics_are_deactivated_before_recall_is_refused(room: Newsroom) -> None:
    room.follow("solar", "wind", "tide")
    room.add("solar 1")
    run = room.until("recall", topics=("solar", "wind", "tide"))
    room.follow("solar")
    with pytest.raises(InputError, match=r"topics that are not active: tide, wind; `rerank topics list`"):
        room.stage("recall", run)


@pytest.mark.parametrize("what", ["articles", "topics"])
def test_without_articles_or_topics_no_scorer_is_even_looked_for(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(scorers, "identity", never)
    monkeypatch.setattr(scorers, "load", never)
    if what == "articles":
        room.add("solar 1")
    else:
        room.follow("solar")
    results = room.run()
    assert results["publish"]["rows"] == 0
    assert results["publish"]["is_current"]
    assert room.parquet(results["publish"]).num_rows == 0


class TestEveryDocumentIsCounted:
    """Each document of the window is in one bucket a topic, and says what it was recalled by."""

    BUCKETS = "wanted carried ineligible not_searched not_recalled not_recalled_language"

    def buckets(self, room: Newsroom, topic: str = "solar") -> dict[str, int]:
        """The counts above 0 of the latest run; they always add up to its window."""
        row = room.sql(
            f"SELECT {', '.join(self.BUCKETS.split())} FROM rerank.run_topic"
            " WHERE slug = :topic ORDER BY run_id DESC LIMIT 1",
            topic=topic,
        )[0]
        return {name: value for name, value in row._mapping.items() if value}

    def test_by_what_became_of_it(self, room: Newsroom) -> None:
        room = room.tuned(fill_factor=1)
        room.follow(make_topic(candidate_limit=2, must_not=("fish",)))
        room.add("solar power", "solar panels", "solar fish", "apples and pears")
        found = room.run()["recall"]
        assert self.buckets(room) == {"wanted": 2, "ineligible": 1, "not_recalled": 1}
        assert (found["candidates"], found["ineligible"], found["not_recalled"]) == (2, 1, 1)
        room.add("solar parks")
        found = room.run()["recall"]
        assert self.buckets(room) == {"wanted": 1, "carried": 2, "ineligible": 1, "not_searched": 1}
        assert (found["carried"], found["not_searched"]) == (2, 1)

    def test_a_language_that_the_topic_has_no_query_in(self, room: Newsroom) -> None:
        room = room.tuned(fill_factor=1)
        room.follow(
            make_topic(
                query="Solar power stations of the federal government",
                queries={"de": "Sonnenenergie"},
                candidate_limit=1,
            )
        )
        room.add("solar power", "rain and snow")
        room.add("солнечная энергия", lang="ru")
        room.add("太阳能发电", lang="zh")
        room.add("Regen und Schnee", lang="de")
        found = room.run()["recall"]
        assert self.buckets(room) == {"wanted": 1, "not_recalled": 2, "not_recalled_language": 2}
        assert found["not_recalled_language"] == 2

    def test_a_document_in_such_a_language_that_shares_a_word_is_recalled(self, room: Newsroom) -> None:
        room = room.tuned(fill_factor=1)
        room.follow(make_topic(query="人工智能 OpenAI 发布新模型", candidate_limit=1))
        room.add("OpenAI has a new model", "rain and snow")
        room.run()
        assert self.buckets(room) == {"wanted": 1, "not_recalled_language": 1}

    def test_where_the_language_of_the_query_cannot_be_told_no_language_is_blamed(
        self, room: Newsroom
    ) -> None:
        room = room.tuned(fill_factor=1)
        room.follow(make_topic(query="2030", candidate_limit=1))
        room.add("rain", "snow")
        room.run()
        assert self.buckets(room) == {"not_recalled": 2}

    def test_exhaustive_recall_wants_all_that_is_eligible_and_blames_no_language(
        self, room: Newsroom
    ) -> None:
        room = room.tuned(recall="exhaustive", fill_factor=1)
        room.follow(make_topic(candidate_limit=1, must_not=("fish",)))
        room.add("apples", "solar", "solar fish", "pears")
        room.add("太阳能", lang="zh")
        run, _ = recall(room)
        assert self.buckets(room) == {"wanted": 4, "ineligible": 1}
        pairs = sorted(room.pairs(run), key=lambda row: row["recall_rank"])
        assert [row["recall_rank"] for row in pairs] == [1, 2, 3, 4]
        assert pairs[0]["article_id"] == "solar"
        assert {row["recalled_by"] for row in pairs} == {"all"}

    def test_a_topic_that_the_run_is_not_for(self, room: Newsroom) -> None:
        room.follow("solar", "wind")
        room.add("solar wind")
        room.run(topics=("wind",))
        assert self.buckets(room, "solar") == {"not_searched": 1}
        assert self.buckets(room, "wind") == {"wanted": 1}

    def test_over_budget_it_is_wanted_all_the_same(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1", "solar 2", "solar 3")
        room.tuned(max_pairs=1).run()
        assert self.buckets(room) == {"wanted": 3}

    def test_a_pair_says_what_recalled_it_and_where(self, room: Newsroom) -> None:
        room.follow(make_topic(candidate_limit=3))
        room.add("solar solar", "solar and much else besides", "apples")
        run, _ = recall(room)
        found = {row["article_id"]: (row["recalled_by"], row["recall_rank"]) for row in room.pairs(run)}
        assert found == {
            "solar solar": ("bm25", 1),
            "solar and much else besides": ("bm25", 2),
            "apples": ("all", 3),
        }
        for stage, shard in (("rerank", 0), ("degrade", None), ("publish", None)):
            room.stage(stage, run, shard=shard)
        carried = room.pairs(recall(room)[0])
        assert {(row["recalled_by"], row["recall_rank"]) for row in carried} == {(None, None)}

    def test_buckets_that_do_not_add_up_stop_the_run(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from rerank_core.recall import window

        room.follow("solar")
        room.add("solar", "apples")
        run = room.until("recall")
        monkeypatch.setattr(window, "asdict", lambda _: {"wanted": 5})
        with pytest.raises(CorruptError, match="do not add up"):
            room.stage("recall", run)


def test_statistics_are_those_of_the_frozen_window(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "wind 1")
    run, _ = recall(room, "frozen")
    before = {row["article_id"]: row["light_score"] for row in room.pairs(run)}
    room.add(*(f"solar {number}" for number in range(2, 30)))  # the term is no longer rare
    room.run("newer")
    again = {row["article_id"]: row["light_score"] for row in room.pairs(run)}
    assert again == before
    newer = room.pairs(room.open("newer"))
    assert next(row["light_score"] for row in newer if row["article_id"] == "solar 1") < before["solar 1"]


@pytest.mark.parametrize(
    ("topic_code", "document_code"), [("nb", "no"), ("no", "nb"), ("iw", "he"), ("he", "iw")]
)
def test_a_query_meets_the_documents_of_its_language_under_codes_of_before(
    room: Newsroom, topic_code: str, document_code: str
) -> None:
    room.follow(
        make_topic(slug="solar", query="wind", queries={topic_code: "solar"}, languages=(topic_code,))
    )
    room.add("solar one", "wind one")
    run = room.until("recall")
    room.sql("UPDATE rerank.document SET lang = :lang", lang=document_code)
    room.stage("recall", run)
    room.stage("rerank", run, shard=0)
    room.stage("publish", run)
    assert [pair.query for pair in room.engines.asked] == ["solar", "solar"]
    assert room.page() == ["solar one", "wind one"]
    with room.database.transaction(read_only=True) as connection:
        standings = history.list_standings(
            connection,
            publication_id=room.standing().publication_id,
            document_id=room.ranking()[0].document_id,
            lang=document_code,
            limit=10,
        )
    assert [standing.logit is not None for standing in standings] == [True]
    assert standings[0].scored_by_run == run.run_id


def test_a_document_keeps_the_terms_of_its_time_and_is_found_by_words_that_both_rules_write_alike(
    room: Newsroom,
) -> None:
    """What recall/README.md says of a window that mixes old terms with new ones."""
    texts = {"old": "Elections near the harbour", "new": "Elections near the bridge"}
    room.follow(
        *(
            make_topic(slug=word, query=word, candidate_limit=1, half_life_hours=24)
            for word in ("elections", "harbour", "bridge")
        )
    )
    for number, filler in enumerate(("wind", "tide", "coal", "rain")):
        room.add(f"{filler} {number}")
    room.add("old", body=texts["old"])
    room.run("first")
    # As a version before stemming had stored it:
    with room.database.transaction() as connection:
        connection.exec_driver_sql(
            "ALTER TABLE rerank.document DISABLE TRIGGER terms_are_immutable;"
            " UPDATE rerank.document SET terms = 'old elections near harbour' WHERE text LIKE '%%harbour%%';"
            " ALTER TABLE rerank.document ENABLE TRIGGER terms_are_immutable"
        )
    room.add("new", body=texts["new"])
    room.edit("old", summary="")  # claimed again, with an unchanged text
    run = room.until("rerank", "second")
    assert room.value("SELECT count(*) FROM rerank.revision WHERE article_id = 'old'") == 2
    assert room.value("SELECT terms FROM rerank.document WHERE text LIKE '%harbour%'").startswith(
        "old elections"
    )
    light = {(pair["topic"], pair["article_id"]): pair["light_score"] for pair in room.pairs(run)}
    assert light["elections", "new"] > 0
    assert light["elections", "old"] == 0
    assert light["harbour", "old"] > 0
    assert light["bridge", "new"] > 0
