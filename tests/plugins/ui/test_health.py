"""The health view: figures over the latest runs, degraded runs, and drift."""

import json
import re

from view_reader import Reader


def test_health_shows_every_published_run_and_marks_the_degraded(get, news):
    page = get("/health")
    text = re.sub(r"\s+", " ", Reader(page).text)
    assert "1 of 4 runs degraded" in text
    assert page.count('class="chart"') == 11
    sums = news.room.sql(
        "SELECT sum(value) FILTER (WHERE name = 'prompt_tokens'), sum(value) FILTER (WHERE name = 'truncated')"
        " FROM rerank.run_metric m JOIN rerank.run r USING (run_id)"
        " WHERE r.pipeline = 'news' AND stage LIKE 'rerank[%' GROUP BY run_id ORDER BY run_id LIMIT 1"
    )
    assert f"{sums[0][0]:,.0f}" in text  # the fake caches nothing: all are computed
    assert re.search(r"Tokens ?computed [\d,]+ cached 0 tokens", text)
    assert re.search(r"Scored pairs with a document that was cut ?[\d.]+ %", text)
    assert "shifted from 0.25 on– no run had 500 new scores, with as many before it, to tell" in text
    assert re.search(r"Latency of a pair ?p50 [\d.]+ p99 [\d.]+ ms", text)
    observed = news.room.value(
        "SELECT value FROM rerank.run_metric m JOIN rerank.run r USING (run_id) WHERE r.pipeline = 'news'"
        " AND stage = 'observe' AND name = 'latency_ms_p99' ORDER BY run_id LIMIT 1"
    )
    assert f"{observed:,.1f}" in text


def test_drift_is_drawn_over_the_runs_and_told_where_logits_have_shifted(get, news):
    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    assert "Drift: the logits" not in get("/health")
    news.room.sql(
        "INSERT INTO rerank.run_metric (run_id, stage, name, value) VALUES (:id, 'observe', 'drift_psi', 0.31)"
        " ON CONFLICT (run_id, stage, name) DO UPDATE SET value = 0.31",
        id=run_id,
    )
    news.room.sql(
        "UPDATE rerank.run_topic SET psi = 0.12 WHERE run_id = :id AND slug = 'ai-policy'", id=run_id
    )
    page = get("/health")
    assert f"Drift: the logits of run {run_id} (0.31)" in re.sub(r"\s+", " ", Reader(page).text)
    assert "PSI 0.310" in page  # a point of the chart
    row = next(part for part in page.split("<tr>") if "slug=ai-policy" in part)
    assert "0.12" in row
    news.room.sql("DELETE FROM rerank.run_metric WHERE run_id = :id AND name = 'drift_psi'", id=run_id)


def test_silent_sources_are_listed_with_since_when_and_their_days(get, news):
    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    assert "Silent sources and languages" not in get("/health")
    silent = {
        "kind": "source",
        "name": "<b>Gazette</b>",
        "collapsed": False,
        "since": "2026-03-01T06:00:00+00:00",
        "usual_hours": 3.0,
        "longest_hours": 9.0,
        "articles": 0,
        "usual_articles": 8.0,
        "days": [8] * 26 + [1, 0],
    }
    collapsed = {
        **silent,
        "kind": "language",
        "name": "zh",
        "collapsed": True,
        "usual_hours": None,
        "longest_hours": None,
    }
    news.room.sql(
        "UPDATE rerank.run SET silences = CAST(:found AS jsonb) WHERE run_id = :id",
        id=run_id,
        found=json.dumps([silent, collapsed]),
    )
    page = get("/health")
    text = re.sub(r"\s+", " ", Reader(page).text)
    assert "Silent: 2 streams have sent less than their rhythm lets expect" in text
    assert "source<b>Gazette</b>silent2026-03-01 06:003 h9 h08" in text
    assert "languagezhcollapsed2026-03-01 06:00––08" in text
    assert 'aria-label="from +8.00 to +0.00"' in page
    news.room.sql("UPDATE rerank.run SET silences = '[]' WHERE run_id = :id", id=run_id)
