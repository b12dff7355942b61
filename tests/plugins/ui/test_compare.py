"""The compare view: two publications side by side, and how much the ranks differ."""

from view_reader import Reader

from rerank_airflow.ui import compare
from rerank_core.observe.history_records import TopicOrder


def test_comparing_tells_who_came_went_and_moved(get, news):
    page = get("/compare", slug="ai-policy")
    text = Reader(page).text
    assert "Mean overlap" in text
    assert page.count('class="side"') == 2
    across = get("/compare", other="shadow", pipeline="news")
    assert "shadow" in across
    same = news.room.value("SELECT publication_id FROM rerank.pointer WHERE pipeline = 'news'")
    itself = Reader(get("/compare", publication=same, against=same)).text
    assert "Both sides are the same publication" in itself
    assert "100.0 %" in itself


def test_churn_counts_by_hand():
    before = TopicOrder("t", "full", ["a", "b", "c", "d"])
    after = TopicOrder("t", "partial", ["b", "a", "e"])
    found = compare.churn("t", before, after)
    assert (found.kept, found.wanted, found.entered, found.gone, found.moved) == (2, 4, 1, 2, 1.0)
    assert found.overlap == 0.5
    gone = compare.churn("t", before, None)
    assert (gone.kept, gone.gone, gone.entered, gone.moved, gone.right_state) == (0, 4, 0, None, None)
    assert compare.churn("t", TopicOrder("t", "abstained", []), None).overlap is None
