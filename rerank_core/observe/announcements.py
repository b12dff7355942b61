"""The outbox: publications that the page moved to, and that Airflow has not been told of yet.

The database keeps each move of the pointer in the transaction that moves it, whoever moves it: a run, a person, a forgetting. So
no move is lost if the task dies that made it. Whoever tells Airflow notes that afterwards. If he dies in between, the next
one tells again, and Airflow knows the publication by its id.
"""

from dataclasses import dataclass

from rerank_core.observe import changes
from rerank_core.observe.changes import News
from rerank_core.observe.history_records import CurrentPublication
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

HOURS = 24.0  # readers find a publication that was the page for so long; later nobody can use the news of it


@dataclass(frozen=True)
class Move:
    """A move of the page that Airflow was not told of."""

    pointer_move_id: int  # in the order of a pipeline's moves
    publication: CurrentPublication
    news: News  # what it changed since the page before


def pending(database: Database, *, pipeline: str) -> list[Move]:
    """The moves to tell of, the oldest first: one a publication, of those that readers still find."""
    with database.transaction(read_only=True) as connection:
        found = []
        for row in map(dict, db.rows(connection, "announcements.pending", pipeline=pipeline, hours=HOURS)):
            pointer_move_id = row.pop("pointer_move_id")
            news = changes.of_move(connection, pipeline=pipeline, pointer_move_id=pointer_move_id)
            found.append(Move(pointer_move_id, CurrentPublication(**row), news))
    return found


def current(database: Database, *, pipeline: str) -> Move | None:
    """The move behind the page, whether Airflow was told of it or not; None if there is no page."""
    with database.transaction(read_only=True) as connection:
        page = db.one(connection, "changes.page", pipeline=pipeline)
        row = db.one(connection, "history.current_publication", pipeline=pipeline)
        if page is None or row is None:
            return None
        pointer_move_id = page["pointer_move_id"]
        news = changes.of_move(connection, pipeline=pipeline, pointer_move_id=pointer_move_id)
    return Move(pointer_move_id, CurrentPublication(**row), news)


def settle(database: Database, *, pipeline: str, pointer_move_id: int) -> None:
    """Note that Airflow was told of this move; moves before it that nobody was told of are of no use any more."""
    with database.transaction() as connection:
        db.execute(connection, "announcements.settle", pipeline=pipeline, pointer_move_id=pointer_move_id)
