"""A row that an editor or its topic's limits moved has a mark, which says by how much, by whom, until when and why."""

from types import SimpleNamespace

import pytest
from view_reader import Reader

from rerank_airflow.ui import render

SLUG = "ai-policy"


@pytest.fixture
def pinned(news):
    """The first row of a topic of the shadow pipeline, pinned; the reason tries to be markup."""
    room = news.room
    (page,) = room.sql(
        "SELECT c.publication_id, p.run_id, r.article_id FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)"
        " JOIN rerank.ranking r USING (publication_id) WHERE c.pipeline = 'shadow' AND r.slug = :slug AND r.rank = 1",
        slug=SLUG,
    )
    (act,) = room.sql(
        "INSERT INTO rerank.editorial_act (pipeline, slug, article_id, kind, amount, ends_at, reason, on_behalf_of)"
        " VALUES ('shadow', :slug, :article_id, 'pin', 1, '2030-01-02T03:04Z', '<i>election</i> night', 'anna') RETURNING act_id",
        slug=SLUG,
        article_id=page.article_id,
    )
    room.sql("INSERT INTO rerank.run_act VALUES (:run_id, :act_id)", run_id=page.run_id, act_id=act.act_id)
    place = {"publication_id": page.publication_id, "slug": SLUG}
    change = (
        "UPDATE rerank.ranking SET moved_by = :by, moved = :moved"
        " WHERE publication_id = :publication_id AND slug = :slug AND rank = :rank"
    )
    room.sql(change, by="pin", moved=3, rank=1, **place)
    room.sql(change, by="shifted", moved=-1, rank=2, **place)
    yield page
    for rank in (1, 2):
        room.sql(change, by=None, moved=0, rank=rank, **place)
    room.sql("DELETE FROM rerank.run_act WHERE act_id = :act_id", act_id=act.act_id)
    room.sql("DELETE FROM rerank.editorial_act WHERE act_id = :act_id", act_id=act.act_id)


def test_a_pinned_row_is_marked_with_who_and_why(get, pinned):
    for path, options in (("/topic", {"slug": SLUG}), ("/rankings", {})):
        page = get(path, pipeline="shadow", **options)
        assert page.count(">pinned</span>") == 1
        assert 'title="up by 3; by ' in page
        assert "for anna, until 2030-01-02 03:04 UTC: &lt;i&gt;election&lt;/i&gt; night" in page
        assert "<i>election" not in page


def test_without_acts_and_limits_nothing_is_marked(get):
    page = get("/topic", pipeline="shadow", slug=SLUG)
    assert 'class="mark hand"' not in page
    assert "Rows a source" not in page


@pytest.mark.parametrize(
    ("by", "moved", "said", "title"),
    [
        ("pin", None, "pinned", "brought onto the page"),
        ("boost", 2, "boosted", "up by 2"),
        ("demote", -2, "demoted", "down by 2"),
        ("pin", 0, "pinned", "as its score has it"),
        ("diversity", -1, "like a row above", "down by 1"),
        ("source_limit", 1, "rows of a source left out", "up by 1"),
        ("shifted", -1, "", ""),
        (None, 0, "", ""),
        ("a later kind", 1, "", ""),
    ],
)
def test_each_kind_has_its_words(by, moved, said, title):
    parts = render.environment().get_template("parts.html").module
    markup = str(parts.moved(SimpleNamespace(moved_by=by, moved=moved, act=None)))
    assert Reader(markup).text.strip() == said
    assert not title or f'title="{title}"' in markup
