"""The order of a page, by numbers that a reader can compute."""

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from factories import NOON, make_topic

from rerank_core.errors import CorruptError
from rerank_core.publish.ranking import Clusters, Ranked, rank_topic
from rerank_core.storage import schemas


def page(
    *articles: str, hours_old: dict[str, float] | None = None, hidden: set[str] | None = None
) -> Clusters:
    """One document an article, numbered from 1."""
    ages = hours_old or {}
    members = pa.Table.from_pylist(
        [
            {
                "scored_document_id": number,
                "article_id": article,
                "began_at": NOON - timedelta(hours=ages.get(article, 0)),
            }
            for number, article in enumerate(articles, start=1)
        ],
        schema=schemas.MEMBERS,
    )
    return Clusters.of(members, as_of=NOON, hidden=hidden or set())


def ranked(
    on: Clusters,
    logits: dict[int, float],
    light: dict[int, float] | None = None,
    **topic: Any,
) -> Ranked:
    """Rank these documents by logit, those of `light` being unscored."""
    unscored = light or {}
    return rank_topic(
        topic=make_topic(**topic),
        clusters=on,
        document_ids=np.asarray(list(logits), dtype=np.int64),
        logit=np.asarray(list(logits.values()), dtype=np.float64),
        light=np.zeros(len(logits)),
        truncated=np.zeros(len(logits), dtype=bool),
        unscored_ids=np.asarray(list(unscored), dtype=np.int64),
        unscored_light=np.asarray(list(unscored.values()), dtype=np.float64),
    )


def names(on: Clusters, rows: Ranked) -> list[str]:
    return [str(on.article_ids[place]) for place in rows.places]


def test_the_highest_logit_comes_first() -> None:
    on = page("a", "b", "c")
    rows = ranked(on, {1: -1.0, 2: 3.0, 3: 0.5})
    assert names(on, rows) == ["b", "c", "a"]
    assert rows.logit.tolist() == [3.0, 0.5, -1.0]


def test_a_half_life_halves_the_odds() -> None:
    on = page("old", "new", hours_old={"old": 24})
    rows = ranked(on, {1: 2.0, 2: 1.0}, half_life_hours=12)
    # 2 − ln 2 × 24 / 12 = 2 − 1.386 = 0.614
    assert names(on, rows) == ["new", "old"]
    assert rows.rank_score.tolist() == pytest.approx([1.0, 0.6137056388801094])
    odds = math.exp(2.0), math.exp(rows.rank_score[1])
    assert odds[1] == pytest.approx(odds[0] / 4)


@pytest.mark.parametrize(("began", "hours"), [(-10, 10), (0, 0), (5, 0)])  # from the future: not negative
def test_age_is_counted_from_the_beginning_of_the_cluster(began: float, hours: float) -> None:
    members = pa.Table.from_pylist(
        [{"scored_document_id": 1, "article_id": "a", "began_at": NOON + timedelta(hours=began)}],
        schema=schemas.MEMBERS,
    )
    assert Clusters.of(members, as_of=NOON, hidden=set()).age_hours.tolist() == [hours]


CLUSTERS = pa.Table.from_pylist(
    [
        {"scored_document_id": cluster, "article_id": article, "began_at": NOON}
        for cluster, article in [(7, "x"), (3, "a"), (3, "b"), (3, "c"), (5, "y"), (5, "z")]
    ],
    schema=schemas.MEMBERS,
)


@pytest.mark.parametrize(
    ("hidden", "shown", "copies", "gone"),
    [
        (set(), ["a", "y", "x"], [3, 2, 1], []),
        ({"a"}, ["b", "y", "x"], [2, 2, 1], []),
        ({"a", "b", "y"}, ["c", "z", "x"], [1, 1, 1], []),
        ({"b", "z"}, ["a", "y", "x"], [2, 1, 1], []),
        (
            {"a", "b", "c"},
            ["a", "y", "x"],
            [0, 2, 1],
            [3],
        ),  # its last article is not shown for its neighbour
        ({"x", "y", "z"}, ["a", "y", "x"], [3, 0, 0], [5, 7]),
    ],
)
def test_the_first_article_of_a_cluster_that_is_not_hidden_is_shown_for_it(
    hidden: set[str], shown: list[str], copies: list[int], gone: list[int]
) -> None:
    on = Clusters.of(CLUSTERS, as_of=NOON, hidden=hidden)
    assert on.document_ids.tolist() == [3, 5, 7]
    assert on.article_ids.tolist() == shown
    assert on.copies.tolist() == copies
    assert on.document_ids[on.hidden].tolist() == gone
    rows = ranked(on, {3: 1.0, 5: 2.0, 7: 3.0})
    assert set(rows.places.tolist()) == {0, 1, 2} - {[3, 5, 7].index(document) for document in gone}


def test_the_copies_of_a_cluster_are_those_that_may_be_shown() -> None:
    on = Clusters.of(CLUSTERS, as_of=NOON, hidden={"b"})
    names = CLUSTERS.column("article_id").to_pylist()
    assert [[names[position] for position in on.copies_of(place)] for place in range(3)] == [
        ["a", "c"],
        ["y", "z"],
        ["x"],
    ]


def test_min_score_is_held_against_the_score_before_decay() -> None:
    on = page("old", "low", hours_old={"old": 240})
    rows = ranked(on, {1: 1.0, 2: 0.9}, min_score=1.0, half_life_hours=1)
    assert names(on, rows) == ["old"]
    assert rows.rank_score[0] < -100


def test_equal_scores_go_by_article_id() -> None:
    on = page("b", "c", "a")
    assert names(on, ranked(on, {1: 1.0, 2: 1.0, 3: 1.0})) == ["a", "b", "c"]


def test_top_k_cuts_after_blocks_and_min_score() -> None:
    on = page("a", "b", "c", "d", hidden={"a"})
    assert names(on, ranked(on, {1: 9.0, 2: 3.0, 3: 2.0, 4: 1.0}, top_k=2)) == ["b", "c"]


def test_unscored_documents_follow_as_a_second_block_whatever_their_light_score() -> None:
    on = page("a", "b", "c", "d")
    rows = ranked(on, {1: -9.0, 2: -8.0}, light={3: 5.0, 4: 50.0})
    assert names(on, rows) == ["b", "a", "d", "c"]
    assert rows.by_model.tolist() == [True, True, False, False]
    assert rows.logit[:2].tolist() == [-8.0, -9.0]
    assert np.isnan(rows.logit[2:]).all()
    assert np.isnan(rows.rank_score[2:]).all()
    assert rows.light[2:].tolist() == [50.0, 5.0]


def test_blocks_hold_in_the_second_block_too() -> None:
    on = page("a", "b", hidden={"a"})
    assert names(on, ranked(on, {}, light={1: 2.0, 2: 1.0})) == ["b"]


def test_a_topic_without_documents_is_empty() -> None:
    rows = ranked(page("a"), {})
    assert len(rows.places) == 0


@pytest.mark.parametrize("logit", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_an_error(logit: float) -> None:
    with pytest.raises(CorruptError, match="topic 'solar'.*NaN or infinite"):
        ranked(page("a", "b"), {1: 1.0, 2: logit})


@pytest.mark.parametrize("document", [0, 2, 9])
def test_a_document_that_is_no_member_is_an_error(document: int) -> None:
    members = pa.Table.from_pylist(
        [{"scored_document_id": number, "article_id": "a", "began_at": NOON} for number in (1, 3)],
        schema=schemas.MEMBERS,
    )
    on = Clusters.of(members, as_of=NOON, hidden=set())
    assert on.find(np.asarray([3, 1])).tolist() == [1, 0]
    with pytest.raises(CorruptError, match="not among the run's members"):
        on.find(np.asarray([document]))
