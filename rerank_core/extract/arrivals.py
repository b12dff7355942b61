"""What has come into the source and is not claimed yet: the hint that starts a run before its time.

Only a hint, so that a look costs next to nothing: articles of the last minutes before the newest claim and since are looked
at. What came earlier, or was edited long after it came, is claimed by the next run of the clock, as ever.
"""

from datetime import timedelta

from sqlalchemy.exc import ProgrammingError

from rerank_core.errors import SourceError
from rerank_core.records import Waiting
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.source import Source

OVERLAP = timedelta(minutes=10)  # before the newest claim: transactions that committed late
LIMIT = 10_000  # articles that one look reads the keys of, the newest


def waiting(database: Database, settings: Settings) -> Waiting:
    """Articles that wait for a run, LIMIT at most. Raises SourceError if the view cannot be read, DatabaseUnavailable."""
    pipeline, lookback = settings.pipeline, timedelta(days=settings.lookback_days)
    with database.transaction(read_only=True) as connection:
        since = db.the(connection, "arrivals.since", pipeline=pipeline, overlap=OVERLAP, lookback=lookback)[
            "since"
        ]
    source = Source.of(settings, database)
    try:
        with source.reading() as snapshot:
            keys = db.rows(snapshot, "arrivals.keys", (("view", source.view),), since=since, limit=LIMIT)
    except ProgrammingError as error:
        raise SourceError(
            f"source view {source.view} cannot be read; create it, or set RERANK_SOURCE_VIEW"
        ) from error
    with database.transaction(read_only=True) as connection:
        row = db.the(
            connection,
            "arrivals.unclaimed",
            pipeline=pipeline,
            article_ids=[key["article_id"] for key in keys],
            versions=[key["version"] for key in keys],
            moments=[key["ingested_at"] for key in keys],
        )
    return Waiting(row["articles"], row["newest"])
