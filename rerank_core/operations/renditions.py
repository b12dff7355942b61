"""Renditions that nothing uses any more are removed, a grace period after a run last made use of them.

All pipelines share renditions, so any pipeline's clean-up removes them. A rendition is in use while a revision or a document names it:
`forget` and retention delete these. The row goes in the transaction that removes the file, and holds back every run that takes the same
picture up meanwhile. A file without a row is what a killed run has left. Each file lands in one counted bucket.
"""

import logging
from collections import Counter
from collections.abc import Sequence

from rerank_core.errors import SettingsError, StoreUnavailable
from rerank_core.operations.retention import Work
from rerank_core.storage import database as db
from rerank_core.storage.rendition_names import RENDITIONS
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

BATCH = 50  # files that one transaction removes
MANY = 200_000  # renditions; more are listed a folder at a time


def remove_renditions(work: Work) -> dict[str, int]:
    """Remove renditions that nothing uses; counts the fate of each. A store that no pipeline has put pictures into is not listed."""
    with work.database.transaction(read_only=True) as connection:
        stored = int(db.the(connection, "renditions.count")["renditions"])
    fates: Counter[str] = Counter()
    if stored or work.settings.media:
        folders = [RENDITIONS] if stored < MANY else [f"{RENDITIONS}{number:02x}/" for number in range(256)]
        for folder in folders:
            fates.update(_clean(work, folder))
    return {"renditions": fates.total(), **{f"renditions_{fate}": count for fate, count in fates.items()}}


def _clean(work: Work, folder: str) -> Counter[str]:
    """Remove what nothing uses of one folder; returns fate → files."""
    fates: Counter[str] = Counter()
    old: list[str] = []
    for file in work.store.files(folder):
        name = Store.parse(file.path)
        if name is None or file.is_link:
            fates["foreign"] += 1
        elif file.modified >= work.grace:  # whatever the rows say: a run may be about to name it
            fates["young"] += 1
        else:
            old.append(file.path)
    for start in range(0, len(old), BATCH):
        fates.update(_remove_unused(work, old[start : start + BATCH]))
    return fates


def _remove_unused(work: Work, paths: Sequence[str]) -> Counter[str]:
    """Remove those of these files that nothing uses; returns fate → files."""
    removed = 0
    try:
        with work.transaction() as connection:
            db.execute(connection, "renditions.reserve", paths=list(paths))
            unused = db.rows(connection, "renditions.take_unused", paths=list(paths), before=work.grace)
            for row in unused:
                if not work.dry_run:
                    work.store.remove(row["path"])
                removed += 1
            if work.dry_run:
                connection.rollback()
    except (StoreUnavailable, SettingsError) as error:
        log.error("renditions are not removed: %s", error)
        return Counter({"failed": len(paths)})
    return Counter({"removed": removed, "named": len(paths) - removed})
