"""A run that the gate blocks: every view says why, what it means, and how to approve the run."""

import re
from typing import Any

import pytest
from view_reader import Reader


@pytest.fixture
def blocked(news) -> Any:
    """The blocked run of the pipeline gated: its number and the gate's sentence."""
    return news.gated.sql("SELECT run_id, sentence FROM rerank.gate WHERE verdict = 'blocked'")[0]


@pytest.mark.parametrize("page", ["/rankings", "/topic?slug=ai-policy", "/run?run_id={}", "/health"])
def test_a_blocked_run_is_told_with_its_check_and_the_way_to_approve_it(get, blocked, page):
    path = page.format(blocked.run_id)
    said = Reader(get(path + ("&" if "?" in path else "?") + "pipeline=gated")).text
    assert re.search(r"spread: the \d+ logits deviate by 0, less than 0.001", said)
    assert f"rerank publish --approve {blocked.run_id} --pipeline gated --reason" in said
    assert "See whether the model, its files and its precision are those that you mean" in said  # what to do


def test_a_blocked_run_is_marked_in_the_lists_and_its_scores_as_distrusted(get, blocked):
    assert 'class="state blocked"' in get("/runs", pipeline="gated")
    said = Reader(get("/run", pipeline="gated", run_id=blocked.run_id)).text
    assert "distrusted" in said
    assert "mean logit +0.25" in said  # what it made can still be looked at


def test_an_article_whose_score_is_distrusted_says_so(get, news, blocked):
    article_id = news.gated.value(
        "SELECT article_id FROM rerank.current_ranking WHERE pipeline = 'gated' AND ranked_by = 'bm25' LIMIT 1"
    )
    said = Reader(get("/article", pipeline="gated", id=article_id)).text
    assert f"its score by run {blocked.run_id} counts for nothing" in said


def test_an_approved_run_tells_who_approved_it_and_why(get, news, blocked):
    from rerank_core import pipeline

    page = news.gated.value("SELECT publication_id FROM rerank.pointer WHERE pipeline = 'gated'")
    pipeline.approve(
        news.gated.resources, run_id=blocked.run_id, reason="<b>all</b> the same", on_behalf_of="ada"
    )
    try:
        said = get("/run", pipeline="gated", run_id=blocked.run_id)
        assert " for ada approved it" in Reader(said).text
        assert "&lt;b&gt;all&lt;/b&gt; the same" in said
        assert (
            "The gate had blocked this version"
            in Reader(get("/rankings", pipeline="gated", publication=page)).text
        )
        assert "--approve" not in get("/rankings", pipeline="gated")
    finally:  # as it was, for the other tests
        news.gated.sql(
            "WITH back AS (DELETE FROM rerank.pair_score WHERE run_id = :id RETURNING *)"
            " INSERT INTO rerank.score_aside (aside_for, month, document_id, query_id, scorer_id, logit, truncated, run_id, shard,"
            " latency_ms, engine, device, scored_at) SELECT run_id, month, document_id, query_id, scorer_id, logit, truncated,"
            " run_id, shard, latency_ms, engine, device, scored_at FROM back",
            id=blocked.run_id,
        )
        news.gated.sql("DELETE FROM rerank.gate WHERE verdict = 'approved'")
        news.gated.sql("UPDATE rerank.pointer SET publication_id = :page WHERE pipeline = 'gated'", page=page)
