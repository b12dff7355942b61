"""After a dump was restored: no number is used twice, and what follows the page follows the restored one.

The runs and publications that came after the dump are lost, but their numbers are known elsewhere: to Airflow, whose dag runs are named
after publications, to readers' caches, and to files of the store. If a number came again, an announcement would be taken for made.
"""

from dataclasses import dataclass

from rerank_core.frontends import followers
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

LEAP = 1_000_000  # more numbers than a day can have used


@dataclass(frozen=True)
class Restored:
    """What was done."""

    sequences: int  # that leapt ahead
    pipelines: tuple[str, ...]  # whose followers were brought to the restored page
    without_file: tuple[str, ...]  # of these: the store lacks the page's Parquet file


def finish(*, database: Database, store: Store, settings: Settings) -> Restored:
    """Let every number of the schema leap ahead, and bring files and Redis to the restored pages. Needs the schema's owner.

    May be repeated: the numbers then leap again.
    """
    with database.transaction() as connection:
        sequences = db.rows(connection, "restored.leap", leap=LEAP)
        pages = db.rows(connection, "restored.pages")
    without = []
    for page in pages:
        if not store.has(page["parquet_path"]):
            without.append(page["pipeline"])
        followers.follow(database=database, store=store, settings=settings.of(page["pipeline"]))
    return Restored(len(sequences), tuple(page["pipeline"] for page in pages), tuple(without))
