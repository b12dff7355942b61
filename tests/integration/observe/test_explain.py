"""Every reason why an article stands where it stands, or does not, has a sentence of its own."""

import re
from typing import Any

import pytest
from factories import Newsroom, make_topic

from rerank_core.errors import InputError


def reason(room: Newsroom, article_id: str, **options: Any) -> tuple[str, str]:
    found = room.explained(article_id, **options)
    return found.reason, found.sentence


def test_a_ranked_article_is_explained_by_its_score_its_age_and_its_neighbours(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", query="solar power", half_life_hours=24))
    room.add("solar power")
    room.add("solar wind", ingested_at=room.ago(hours=24))
    room.run()
    best, last = room.explained("solar power"), room.explained("solar wind")
    assert best.reason == last.reason == "ranked"
    first, second = room.ranking()
    assert best.sentence.startswith(f"Rank 1: its logit {first.logit:+.3f} less 0.00")
    assert f"gives {first.rank_score:+.3f}. The one after it has {second.rank_score:+.3f}." in best.sentence
    assert "less 0.693" in last.sentence
    assert f"The article before it has {first.rank_score:+.3f}." in last.sentence
    facts = dict(last.facts)
    assert facts["recalled by"] == "bm25, place 1 in its best search"
    assert re.fullmatch(r"0\.693 = ln 2 × 24\.0\d h ÷ 24 h, age by half-life", facts["decay"])
    assert facts["rank score"] == f"{second.rank_score:+.3f} = logit − decay"
    assert facts["block"] == "the first, scored by the model"
    assert facts["cluster"] == "no other article has this text or a near-copy of it"
    document = room.sql("SELECT document_id, digest FROM rerank.document WHERE text = 'solar wind'")[0]
    assert facts["document"] == (
        f"{document.document_id}, sha256 {bytes(document.digest).hex()[:12]}…, 10 characters"
    )
    assert facts["language"].startswith("en, confidence ")
    assert facts["score"].startswith(f"logit {second.logit:+.3f}")
    assert facts["publication"] == "version 1, the current page"


def test_what_no_run_has_claimed_is_explained_from_the_source(room: Newsroom) -> None:
    room.follow("solar")
    room.add("old", ingested_at=room.ago(days=8))
    room.add("young", ingested_at=room.ago(minutes=5))
    run = room.open("early", until=room.ago(minutes=30))
    room.run("early")
    assert reason(room, "nothing", run=run)[0] == "unknown"
    assert reason(room, "old", run=run)[0] == "too_late"
    assert reason(room, "young", run=run)[0] == "ingested_later"
    room.run("now")
    room.add("late", ingested_at=room.ago(minutes=40))
    assert reason(room, "late") == (
        "not_claimed",
        "It is in the source, and no run has claimed it yet: the next one will.",
    )
    room.add("late and old", ingested_at=room.ago(hours=80))  # inside the lookback
    assert reason(room, "late and old")[0] == "not_claimed"
    later = room.open("later")
    room.run("later")
    assert reason(room, "late", run=run) == (
        "claimed_later",
        f"Run {run.run_id} did not have it: run {later.run_id}, as of {later.window.until:%Y-%m-%d %H:%M:%S} UTC, was"
        " the first to claim it.",
    )


def test_a_source_row_that_cannot_be_claimed_is_invalid(room: Newsroom) -> None:
    room.sql(
        "CREATE VIEW public.odd AS SELECT article_id, CASE WHEN title <> 'odd' THEN version::text END AS version,"
        " ingested_at, url, title, summary, body, lang, source, published_at FROM rerank.article"
    )
    odd = room.tuned(source_view="public.odd")
    odd.follow("solar")
    odd.add("solar", "odd")
    odd.run()
    assert reason(odd, "odd")[0] == "invalid"


def test_what_prepare_could_not_take_is_explained(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar")
    room.add("empty", title="")
    room.run()
    assert reason(room, "empty")[0] == "quarantined"
    assert "no letter or digit" in reason(room, "empty")[1]
    room.sql("DELETE FROM rerank.quarantine")
    assert reason(room, "empty")[0] == "not_prepared"


def test_what_is_not_in_the_window_is_explained(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar old", ingested_at=room.ago(hours=80))
    room.add("solar")
    room.run("a", until=room.ago(minutes=1))
    assert reason(room, "solar old")[0] == "outside_window"
    first = room.open("a")
    room.add("solar late")
    room.run("b", until=room.ago(minutes=1))
    assert reason(room, "solar late", run=first)[0] == "not_a_member"
    assert reason(room, "solar late")[0] == "ranked"


def test_a_copy_names_the_article_that_stands_for_it(room: Newsroom) -> None:
    room.follow("solar")
    room.add("first", title="solar power", ingested_at=room.ago(minutes=20))
    room.add("second", title="solar power")
    room.run()
    assert reason(room, "second") == (
        "copy",
        "It has the very text of article first, which stands at rank 1.",
    )
    assert dict(room.explained("first").facts)["cluster"].startswith("2 articles with this text")
    assert dict(room.explained("second").facts)["cluster"].endswith("article first stands for them")


def test_a_near_copy_names_the_article_that_stands_for_it_and_its_rank(room: Newsroom) -> None:
    room.follow("solar")
    body = " ".join(f"word{number}" for number in range(80))
    room.add("first", title="solar power", body=body, ingested_at=room.ago(minutes=30))
    room.add("second", title="solar power", body=f"{body} more", ingested_at=room.ago(minutes=20))
    room.add("third", title="solar power", body=f"{body} more and more", ingested_at=room.ago(minutes=10))
    room.run("k")
    found, sentence = reason(room, "third")
    assert found == "near_copy"
    assert re.fullmatch(
        r"It is a near-copy of article first, which stands at rank 1; 9\d% of their shingles are the same\.",
        sentence,
    )
    assert dict(room.explained("first").facts)["cluster"] == (
        "3 articles with this text or a near-copy of it, 3 texts: first, second, third; this one stands for them"
    )
    assert "scored text" not in dict(room.explained("first").facts)
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'first', 'libel')")
    assert reason(room, "third")[1].startswith(
        "It is a near-copy of article second, which stands for it: explain that one; each"
    )
    room.run("k")
    assert reason(room, "second")[0] == "ranked"
    assert dict(room.explained("second").facts)["scored text"].startswith("that of article first, 9")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'solar', 'libel')",
            "blocked",
        ),
        ("INSERT INTO rerank.deleted (pipeline, article_id) VALUES ('news', 'solar')", "deleted"),
        (
            "INSERT INTO rerank.tombstone (pipeline, article_id, reason) VALUES ('news', 'solar', 'law')",
            "forgotten",
        ),
    ],
)
def test_what_is_hidden_is_explained(room: Newsroom, statement: str, expected: str) -> None:
    room.follow("solar")
    room.add("solar", "solar power")
    room.run()
    assert reason(room, "solar")[0] == "ranked"
    room.sql(statement)
    assert reason(room, "solar")[0] == expected
    assert reason(room, "solar power")[0] == "ranked"


def test_a_topic_that_the_run_did_not_have_or_was_not_limited_to_is_explained(room: Newsroom) -> None:
    room.follow("solar", "wind")
    room.add("solar and wind")
    room.run(topics=("solar",))
    assert reason(room, "solar and wind", topic="wind")[0] == "topic_not_selected"
    room.follow("solar", "wind", "tide")
    assert reason(room, "solar and wind", topic="tide")[0] == "topic_not_in_run"
    with pytest.raises(InputError, match="topic 'sun' does not exist"):
        room.explained("solar and wind", topic="sun")


def test_the_filters_of_a_topic_are_explained(room: Newsroom) -> None:
    room.follow(
        make_topic(slug="german", query="solar", languages=("de",)),
        make_topic(slug="roofs", query="solar", must=("roof",)),
        make_topic(slug="power", query="solar", must_not=("wind",)),
    )
    room.add("solar and wind")
    room.run()
    assert reason(room, "solar and wind", topic="german") == (
        "other_language",
        "It is in en, and the topic takes de only.",
    )
    assert reason(room, "solar and wind", topic="roofs") == (
        "lacks_must",
        "Its text lacks 'roof', which the topic demands.",
    )
    assert reason(room, "solar and wind", topic="power") == (
        "has_must_not",
        "Its text has 'wind', which the topic excludes.",
    )


def test_what_was_not_among_the_candidates_is_explained_and_is_not_looked_at_again(room: Newsroom) -> None:
    narrow = room.tuned(fill_factor=1)
    narrow.follow(make_topic(slug="solar", query="solar power", candidate_limit=1))
    narrow.add("solar power", "solar wind", ingested_at=room.ago(minutes=10))
    first = narrow.open("a")
    narrow.run("a")
    assert reason(narrow, "solar wind", run=first)[0] == "not_recalled"
    assert dict(narrow.explained("solar wind", run=first).facts)["recalled"] == "no"
    narrow.add("solar power news")
    narrow.run("b")
    assert reason(narrow, "solar wind")[0] == "searched_before"
    assert reason(narrow, "solar power")[0] == "ranked"


def test_an_article_in_a_language_without_a_query_is_explained(room: Newsroom) -> None:
    narrow = room.tuned(fill_factor=1)
    narrow.follow(
        make_topic(slug="solar", query="solar power for every house in the whole country", candidate_limit=1)
    )
    narrow.add("solar power for houses")
    narrow.add("太阳能发电进入千家万户", lang="zh")
    narrow.run()
    assert reason(narrow, "太阳能发电进入千家万户")[0] == "no_query_in_language"


def test_what_is_over_the_budget_is_explained(room: Newsroom) -> None:
    tight = room.tuned(max_pairs=1)
    tight.follow(make_topic(slug="solar", query="solar power"))
    tight.add("solar power", "solar wind")
    tight.run()
    assert reason(tight, "solar wind")[0] == "over_budget"
    assert "1 of the topic's candidates" in reason(tight, "solar wind")[1]


def test_over_the_budget_or_not_recalled_is_said_where_it_cannot_be_told(room: Newsroom) -> None:
    tight = room.tuned(max_pairs=1, fill_factor=1)
    tight.follow(make_topic(slug="solar", query="solar power plant", candidate_limit=2))
    tight.add("solar power plant", "solar power", "solar wind and water")
    tight.run()
    assert reason(tight, "solar wind and water")[0] == "not_recalled_or_over_budget"


def test_a_refused_pair_is_explained(room: Newsroom) -> None:
    room.engines.options["refuse_text"] = "wind"
    room.follow("solar")
    room.add("solar power", "solar wind")
    room.run()
    assert reason(room, "solar wind") == ("refused", "The scorer refused it: told to refuse it.")


def test_what_has_no_score_yet_stands_in_the_second_block_or_below_it(room: Newsroom) -> None:
    room.engines.options["fail_at_chunk"] = 0
    room.follow(make_topic(slug="solar", query="solar power", top_k=1))
    room.add("solar power", "solar wind")
    room.run()
    assert reason(room, "solar power")[0] == "ranked"
    assert "second block" in reason(room, "solar power")[1]
    facts = dict(room.explained("solar power").facts)
    assert facts["block"] == "the second, below it: not scored by the model"
    assert "score" not in facts
    assert reason(room, "solar wind")[0] == "unscored_below_page"


def test_a_score_that_is_gone_is_explained(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", query="solar power", top_k=1))
    room.add("solar power", "solar wind")
    room.run()
    assert reason(room, "solar wind")[0] == "below_top_k"
    room.sql("DELETE FROM rerank.pair_score")
    assert reason(room, "solar wind")[0] == "score_lost"


def test_what_only_the_new_scorer_has_scored_is_explained(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", query="solar power plant"))
    room.add("solar power", "solar wind", ingested_at=room.ago(minutes=20))
    room.run()
    room.engines.name = "other"
    room.add("solar power plant")
    room.tuned(max_pairs=1).run()
    assert reason(room, "solar power plant")[0] == "other_scorer"
    assert reason(room, "solar power")[0] == "ranked"


def test_the_cuts_of_the_page_are_explained(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", query="solar power", top_k=1, min_score=-1.0))
    room.add("solar power", "solar power and more", "sunny days")
    room.run()
    assert reason(room, "sunny days")[0] == "below_min_score"
    assert "below the topic's min_score -1" in reason(room, "sunny days")[1]
    below = next(title for title in ("solar power", "solar power and more") if title not in room.page())
    found = room.explained(below)
    assert found.reason == "below_top_k"
    assert "The page shows the best 1" in found.sentence
    assert "It would stand at 2" in found.sentence


def test_what_was_hidden_when_the_page_was_published_is_explained(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", query="solar power"))
    room.add("solar power", "solar wind")
    room.sql(
        "INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'solar power', 'libel')"
    )
    room.run()
    room.sql("DELETE FROM rerank.block")
    found = room.explained("solar power")
    assert found.reason == "hidden_then"
    assert "the next publication shows it" in found.sentence


def test_a_run_that_is_not_published_or_not_frozen_is_explained(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar")
    run = room.open("a")
    with pytest.raises(InputError, match="is not frozen yet"):
        room.explained("solar", run=run)
    room.until("publish", "a")
    assert reason(room, "solar", run=run)[0] == "not_published"
    with pytest.raises(InputError, match="has no page yet"):
        room.explained("solar")
    with pytest.raises(InputError, match="belongs to pipeline"):
        room.tuned(pipeline="shadow").explained("solar", run=run)


def test_an_article_whose_score_is_distrusted_is_explained_by_the_gates_sentence(room: Newsroom) -> None:
    room.follow(*(make_topic(slug=slug, candidate_limit=100) for slug in ("solar", "wind", "tide")))
    room.flood("old", articles=3, hours_ago=3)
    room.run(until=room.ago(hours=2))
    room.flood("new")
    room.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
    assert room.stage("publish", room.until("publish", "bad"))["blocked"]
    shown = next(row for row in room.ranking() if row.ranked_by == "bm25")
    found = room.explained(shown.article_id)
    assert found.reason == "ranked"
    assert f"Rank {shown.rank}, in the second block: its score by run" in found.sentence
    assert (
        "(logit +3.000) counts for nothing, because the gate blocks that run (spread: the 210"
        in found.sentence
    )
    assert dict(found.facts)["gate"].startswith("blocked: spread")
    below = ({f"new{number}" for number in range(1, 71)} - {row.article_id for row in room.ranking()}).pop()
    assert reason(room, below)[0] == "distrusted"
