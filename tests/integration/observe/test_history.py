"""What the pages read of a large publication, one page of it at a time."""

import newsrooms
import pytest
from factories import Newsroom

from rerank_core.observe import history


@pytest.fixture
def wide(room: Newsroom) -> Newsroom:
    """Two publications of 50,000 rows, after autovacuum has looked at them."""
    made = newsrooms.wide_room(room, topics_wanted=1000, rows=50)
    room.sql("ANALYZE rerank.ranking")
    return made


def test_fifty_thousand_rows_are_read_a_page_at_a_time(wide: Newsroom) -> None:
    with history.reading(wide.database) as connection:
        shown = history.find_publication(connection, pipeline="wide", publication_id=None)
        assert shown is not None
        topics = history.list_topics(connection, publication_id=shown.publication_id, limit=20, offset=980)
        where = {
            "pipeline": "wide",
            "publication_id": shown.publication_id,
            "before_id": shown.before_id,
        }
        first = history.list_rows(
            connection, **where, slugs=[topic.slug for topic in topics], top=3, limit=60
        )
        found = history.list_rows(connection, **where, q="article", limit=50, offset=49_950)
    assert (len(topics), topics[0].total) == (20, 1000)
    assert len(first) == 60
    assert (len(found), found[0].total) == (50, 50_000)
    assert found[-1].slug == "topic-0999"
