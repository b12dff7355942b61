"""Charts: scales, gaps, limits, and escaped names."""

import re

import pytest

from rerank_airflow.ui import charts, render


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(0, 10, [0, 5, 10]), (0, 0, [0, 0.5, 1.0]), (-3, 7, [-5, 0, 5, 10]), (0, 0.07, [0, 0.025, 0.05, 0.075])],
)
def test_ticks_are_round_and_cover_the_values(low, high, found):
    assert charts.ticks(low, high) == pytest.approx(found)


def test_a_chart_leaves_a_gap_where_a_run_has_no_value():
    drawn = charts.lines("t", [charts.Line("x", [1.0, 2.0, None, 3.0, 4.0])], labels=list("abcde"))
    assert drawn.count("<polyline") == 2
    assert drawn.count("<circle") == 4
    assert "no run has recorded" in charts.lines("t", [charts.Line("x", [None])], labels=["a"])


def test_a_name_in_a_chart_is_escaped():
    drawn = charts.lines("<b>", [charts.Line("<i>", [1.0, 2.0])], labels=["<u>", "<s>"], marked=[True, False])
    assert not re.search(r"<(b|i|u|s)>", drawn)
    assert "<b>" not in charts.stack([("<b>", 1, "good")])


def test_a_limit_is_drawn_and_has_its_place_on_the_scale():
    calm = charts.lines("t", [charts.Line("x", [0.01, 0.02])], labels=["a", "b"], limit=0.25)
    assert calm.count('class="limit"') == 1
    assert ">0.3<" in calm
    assert 'class="limit"' not in charts.lines("t", [charts.Line("x", [0.01, 0.02])], labels=["a", "b"])


def test_numbers_below_zero_have_one_sign_everywhere():
    drawn = charts.lines("t", [charts.Line("x", [-3000.0, -2.5])], labels=["a", "b"], from_zero=False)
    assert "−3k" in drawn
    assert "x −2.5" in drawn
    assert render.number(-3.25, 2) == "−3.25"
