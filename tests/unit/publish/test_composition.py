"""A page from an order: what an editor and a topic's limits change, and that nothing is lost."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_core.publish.composition import (
    POOL,
    Composed,
    Likeness,
    Near,
    Resembles,
    Wishes,
    compose,
    source_numbers,
)

SOURCES = st.sampled_from([None, "", "reuters", "Reuters ", "afp", "dpa"])


def signature(*parts: tuple[int, int]) -> bytes:
    """A signature from (how many places, their value)."""
    values = [value * 1000 + place for count, value in parts for place in range(count)]
    return np.asarray(values, dtype="<u4").tobytes()


def falling(count: int) -> Any:
    return np.arange(count, 0, -1, dtype=np.float64)


def page(count: int, *, sources: str = "", light: int = 0, signatures: Any = None, **wishes: Any) -> Composed:
    """Compose rows 0, 1, 2, … with equal steps between their scores; a letter of `sources` is a row's source."""
    wishes = {"top_k": 20, **wishes}
    return compose(
        [falling(count), falling(light)],
        Wishes(**wishes),
        sources=source_numbers(list(sources)),
        near=near(signatures or {}),
    )


def near(signatures: dict[int, bytes]) -> Near:
    """Rows with these signatures; a row is its own document."""
    rows = np.asarray(list(signatures), dtype=np.int64)
    return Likeness(signatures).among(rows, rows)


def test_without_wishes_the_order_stays() -> None:
    composed = page(5, light=4, top_k=3)
    assert composed.rows == [0, 1, 2, 5, 6, 7]
    assert composed.moved == [0] * 6
    assert composed.moved_by == [None] * 6


def test_of_a_source_no_more_rows_than_the_limit_and_the_others_rise() -> None:
    composed = page(7, sources="aaabaac", max_per_source=2, top_k=4)
    assert composed.rows == [0, 1, 3, 6]
    assert composed.left_out == {2: 3, 4: 4, 5: 5}
    assert composed.moved == [0, 0, 1, 3]
    assert composed.moved_by == [None, None, "source_limit", "source_limit"]


def test_a_row_that_would_not_be_on_the_page_anyway_is_not_counted_as_left_out() -> None:
    assert page(4, sources="abaa", max_per_source=1, top_k=2).left_out == {}


def test_the_limit_holds_over_both_blocks() -> None:
    composed = page(2, light=3, sources="abbac", max_per_source=1)
    assert composed.rows == [0, 1, 4]
    assert list(composed.left_out) == [2, 3]


def test_a_source_is_compared_without_case_and_space_and_no_source_is_none() -> None:
    wishes = Wishes(top_k=9, max_per_source=1)
    sources = ["Agence  France", None, "agence france ", "", None, "dpa"]
    composed = compose([falling(6)], wishes, sources=source_numbers(sources))
    assert composed.rows == [0, 1, 3, 4, 5]


@pytest.mark.parametrize(
    ("shifts", "rows"),
    [
        ({3: 2}, [0, 3, 1, 2, 4]),
        ({3: 9}, [3, 0, 1, 2, 4]),
        ({1: -2}, [0, 2, 3, 1, 4]),
        ({0: -9}, [1, 2, 3, 4, 0]),
        ({1: -1, 2: 1}, [0, 2, 1, 3, 4]),
    ],
)
def test_a_boost_and_a_demotion_move_by_so_many_places(shifts: dict[int, int], rows: list[int]) -> None:
    composed = page(5, shifts=shifts)
    assert composed.rows == rows
    told = {row: by for row, by in zip(composed.rows, composed.moved_by, strict=True) if row in shifts}
    assert told == {row: "boost" if places > 0 else "demote" for row, places in shifts.items()}


def test_no_boost_brings_an_unscored_row_before_a_scored_one() -> None:
    assert page(3, light=2, shifts={4: 9}).rows == [0, 1, 2, 4, 3]


def test_a_boost_brings_a_row_onto_the_page_and_a_demotion_takes_one_off() -> None:
    assert page(5, top_k=3, shifts={4: 3}).rows == [0, 4, 1]
    assert page(5, top_k=3, shifts={1: -3}).rows == [0, 2, 3]


def test_a_pin_has_its_place_and_the_others_make_way() -> None:
    composed = page(5, pins={4: 2}, top_k=4)
    assert composed.rows == [0, 4, 1, 2]
    assert composed.moved == [0, 3, -1, -1]
    assert composed.moved_by == [None, "pin", "shifted", "shifted"]


def test_a_pin_that_stands_where_it_stands_is_still_marked() -> None:
    composed = page(3, pins={1: 2})
    assert (composed.rows, composed.moved, composed.moved_by) == ([0, 1, 2], [0, 0, 0], [None, "pin", None])


def test_a_pinned_row_that_was_brought_in_has_no_place_to_be_moved_from() -> None:
    composed = page(2, pins={2: 1})
    assert composed.rows == [2, 0, 1]
    assert composed.moved == [None, -1, -1]


def test_a_pin_after_the_last_row_is_the_last_row() -> None:
    assert page(2, pins={2: 9}).rows == [0, 1, 2]
    assert page(0, pins={0: 9}).rows == [0]


def test_a_pinned_row_counts_for_its_source_and_is_never_left_out() -> None:
    composed = page(5, sources="aabca", pins={4: 1, 1: 2}, max_per_source=1)
    assert composed.rows == [4, 1, 2, 3]
    assert composed.left_out == {0: 3}


def test_a_row_that_resembles_a_row_above_falls_by_the_formula_of_the_paper() -> None:
    # Rows 0 and 1 share half of their signature. With λ = 0.6, and relevance 1, ¾, ½, ¼, 0:
    # row 1: 0.6 × ¾ − 0.4 × ½ = 0.25; row 2: 0.6 × ½ = 0.3; row 3: 0.6 × ¼ = 0.15.
    signatures = {0: signature((128, 1)), 1: signature((64, 1), (64, 2)), 2: signature((128, 3))}
    composed = page(5, diversity=0.4, signatures=signatures)
    assert composed.rows == [0, 2, 1, 3, 4]
    assert composed.moved_by == [None, "shifted", "diversity", None, None]
    assert composed.resembles == {1: Resembles(0, 0.5)}
    # With λ = 0.7 row 1 has 0.525 − 0.15 = 0.375, more than row 2 with 0.35.
    assert page(5, diversity=0.3, signatures=signatures).rows == [0, 1, 2, 3, 4]


def test_a_row_that_is_left_out_makes_no_row_fall() -> None:
    signatures = {1: signature((128, 1)), 2: signature((128, 1))}
    composed = page(4, sources="aabc", max_per_source=1, diversity=0.5, signatures=signatures)
    assert composed.rows == [0, 2, 3]


def test_a_pinned_row_makes_its_likeness_fall() -> None:
    signatures = {4: signature((128, 1)), 0: signature((128, 1))}
    assert page(4, pins={4: 1}, diversity=0.5, signatures=signatures).rows == [4, 1, 2, 0, 3]


def test_a_faint_likeness_counts_for_nothing() -> None:
    signatures = {0: signature((128, 1)), 1: signature((12, 1), (116, 2))}
    assert page(200, top_k=200, diversity=0.9, signatures=signatures).rows == list(range(200))


def test_a_boosted_row_keeps_its_new_place_under_diversity() -> None:
    assert page(6, shifts={5: 4}, diversity=0.5).rows == [0, 5, 1, 2, 3, 4]


def test_equal_scores_keep_their_order() -> None:
    assert compose([np.ones(4)], Wishes(top_k=4, diversity=0.5)).rows == [0, 1, 2, 3]


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    count, light = draw(st.integers(0, 30)), draw(st.integers(0, 12))
    brought = draw(st.integers(0, 2))
    total = count + light
    rows = list(range(total))
    top_k = draw(st.integers(3, 20))
    pinned = draw(st.lists(st.sampled_from(rows), max_size=2, unique=True)) if rows else []
    pinned += range(total, total + brought)
    places = draw(st.permutations(range(1, top_k + 1)))
    shifted = draw(st.lists(st.sampled_from(rows), max_size=3, unique=True)) if rows else []
    values = draw(st.lists(st.integers(0, 5), min_size=total, max_size=total))
    return {
        "blocks": [
            -np.sort(-np.asarray(draw(st.lists(st.floats(-9, 9), min_size=size, max_size=size)), dtype=float))
            for size in (count, light)
        ],
        "wishes": Wishes(
            top_k=top_k,
            max_per_source=draw(st.none() | st.integers(1, 4)),
            diversity=draw(st.sampled_from([0.0, 0.2, 0.5, 1.0])),
            pins=dict(zip(pinned, places, strict=False)),
            shifts={row: draw(st.sampled_from([-5, -1, 1, 5])) for row in shifted if row not in pinned},
        ),
        "names": draw(st.lists(SOURCES, min_size=total + brought, max_size=total + brought)),
        "near": near({row: signature((64, value), (64, 7 + value % 2)) for row, value in enumerate(values)}),
    }


@settings(max_examples=150, deadline=None)
@given(cases())
def test_nothing_is_lost_doubled_or_moved_in_silence(case: dict[str, Any]) -> None:
    wishes, (model, light) = case["wishes"], case["blocks"]
    names = case.pop("names")
    case["sources"] = source_numbers(names)
    composed = compose(**case)
    assert composed == compose(**case)  # the same again
    assert len(set(composed.rows)) == len(composed.rows)
    out = set(composed.left_out)
    assert not out & set(composed.rows)
    pins, limit = wishes.pins, wishes.max_per_source
    assert set(pins) <= set(composed.rows)
    for row, place in pins.items():
        assert composed.rows.index(row) == min(place, len(composed.rows)) - 1 or any(
            other > place for other in pins.values() if other >= len(composed.rows)
        )
    # Each block is as full as it can be: a row is missing only over its limit, or below top_k.
    for rows, room in (
        (range(len(model)), wishes.top_k - len(pins)),
        (range(len(model), len(model) + len(light)), wishes.top_k),
    ):
        free = [row for row in rows if row not in pins]
        shown = [row for row in free if row in composed.rows]
        assert len(shown) == room or set(free) <= set(shown) | out
    # No source has more rows than the limit, but for pinned rows.
    by_source: dict[str, int] = {}
    for row in composed.rows:
        name = " ".join((names[row] or "").split()).casefold()
        if row not in pins and name and limit is not None:
            by_source[name] = by_source.get(name, 0) + 1
            assert by_source[name] <= limit
    # The model's rows stand before the light rows.
    blocks = [row >= len(model) for row in composed.rows if row not in pins]
    assert blocks == sorted(blocks)
    for rank, (row, moved, by) in enumerate(
        zip(composed.rows, composed.moved, composed.moved_by, strict=True), 1
    ):
        if row in pins:
            assert by == "pin"
            continue
        plain = row + 1 if row < len(model) else min(len(model), wishes.top_k) + row - len(model) + 1
        assert moved == plain - rank
        assert by is not None or moved == 0
        assert by in ("boost", "demote") or by is None or moved != 0


def test_the_pool_of_diversity_ends() -> None:
    signatures = {row: signature((128, 1)) for row in range(50)}
    rows = page(50, top_k=2, diversity=1.0, signatures=signatures).rows
    assert max(rows) < POOL * 2 + 2


def _mutants() -> dict[str, dict[str, Any]]:
    return {"limit": {"max_per_source": None}, "diversity": {"diversity": 0.0}, "pins": {"pins": {}}}


@pytest.mark.parametrize("lost", list(_mutants()))
def test_each_wish_changes_the_page_by_itself(lost: str) -> None:
    """The control of the tests above: without one wish the page is another."""
    signatures = {0: signature((128, 1)), 1: signature((128, 1))}
    wishes: dict[str, Any] = {"max_per_source": 2, "diversity": 0.5, "pins": {7: 1}, "top_k": 5}
    given_rows = page(9, sources="aabaabbcc", signatures=signatures, **wishes).rows
    assert (
        page(9, sources="aabaabbcc", signatures=signatures, **{**wishes, **_mutants()[lost]}).rows
        != given_rows
    )
