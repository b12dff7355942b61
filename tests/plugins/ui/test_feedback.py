"""The feedback view: the latest report, its curves, and what readers opened by topic, source, rank and scorer."""

import re

import pytest
from view_reader import Reader, offences

from rerank_core.learning import report

EVENTS = """
INSERT INTO rerank.feedback (event_id, pipeline, run_id, slug, rank, revision_id, event, happened_at)
SELECT concat_ws(' ', p.run_id, r.slug, r.rank, e.event, n), 'news', p.run_id, r.slug, r.rank, r.revision_id, e.event, now()
FROM rerank.publication p
JOIN rerank.ranking r USING (publication_id),
     (VALUES ('impression', 20), ('open', 8)) AS e (event, number), generate_series(1, e.number - r.rank / 2) n
WHERE p.pipeline = 'news'
ON CONFLICT DO NOTHING
"""


@pytest.fixture
def reported(news):
    news.room.sql(EVENTS)
    yield report.make(news.room.database, news.room.settings, days=36500)
    news.room.sql("DELETE FROM rerank.feedback; DELETE FROM rerank.feedback_report")


def test_it_shows_both_curves_and_every_group(get, reported):
    page = get("/feedback")
    text = re.sub(r"\s+", " ", Reader(page).text)
    assert page.count('class="chart"') == 2
    assert page.count('class="band"') == 2
    assert f"{reported.total.impressions:,} impressions, {reported.total.opens:,} opens" in text
    for kind in ("topic", "source", "rank", "scorer"):
        group = reported.groups[kind][0]
        assert f"By {kind}" in text
        assert (
            f"{group.name}{group.impressions:,}{group.opens:,}{group.hides}{group.rate:.1%}".replace(
                "%", " %"
            )
            in text
        )


def test_without_a_report_it_says_how_one_is_made(get):
    assert "rerank feedback report --pipeline news" in get("/feedback")


def test_no_name_of_a_source_becomes_markup(get, news, reported):
    news.room.sql(
        "UPDATE rerank.feedback_report SET content = jsonb_set(content, '{groups,source,0,name}', to_jsonb(CAST(:name AS text)))",
        name='"><img src=x onerror=hit()>',
    )
    page = get("/feedback")
    assert offences(page) == []
    assert '"><img src=x onerror=hit()>' in Reader(page).text
