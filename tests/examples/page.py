"""A topic as HTML, read page by page: DATABASE_URL=postgresql://… python tests/examples/page.py TOPIC [SIZE]."""

import html
import os
import sys
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

STATE = """
SELECT publication_id, state, as_of FROM rerank.current_topic WHERE pipeline = 'news' AND topic = %s
"""
ROWS = """
SELECT rank, title, url, source, ranked_by FROM rerank.recent_ranking
WHERE publication_id = %s AND topic = %s AND rank > %s
ORDER BY rank
LIMIT %s
"""
READABLE = "SELECT EXISTS (SELECT FROM rerank.recent_ranking WHERE publication_id = %s) AS readable"


class Expired(Exception):
    """The publication left the page more than 24 hours ago: begin again."""


def pages(cursor: Any, topic: str, size: int) -> Iterator[list[dict[str, Any]]]:
    """The topic's rows, `size` at a time, all of one publication."""
    cursor.execute(STATE, (topic,))
    state_row = cursor.fetchone()
    if state_row is None:
        raise LookupError(f"the page has no topic {topic!r}")
    last = 0
    while True:
        cursor.execute(ROWS, (state_row["publication_id"], topic, last, size))
        rows = cursor.fetchall()
        if not rows:
            break
        yield rows
        last = rows[-1]["rank"]
    cursor.execute(READABLE, (state_row["publication_id"],))
    if last and not cursor.fetchone()["readable"]:
        raise Expired(f"publication {state_row['publication_id']}")


def item(row: dict[str, Any]) -> str:
    """A row as HTML. Every text comes from a stranger: it is escaped, in attributes too."""
    title = html.escape(row["title"])
    if row["url"] is not None:
        title = f'<a href="{html.escape(row["url"])}" rel="noopener nofollow">{title}</a>'
    source = "" if row["source"] is None else f" – {html.escape(row['source'])}"
    unscored = "" if row["ranked_by"] == "model" else " (not scored yet)"
    return f'<li value="{row["rank"]}">{title}{source}{unscored}</li>'


def main(topic: str, size: str = "10") -> None:
    """Print the whole topic."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        for rows in pages(cursor, topic, int(size)):
            print("<ol>", *(item(row) for row in rows), "</ol>", sep="\n")
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
