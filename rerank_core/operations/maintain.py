"""The clean-up: deletes what is past its time, and never what the page or a reader within the grace period needs.

The steps run in order: rows first (`retention.py`), then the copies that readers get, then files and vectors
(`leftovers.py`). A clean-up may be killed at any point, run twice at once, or run beside a publication: the next
clean-up finds what is left to do. Whatever a step looks at lands in one counted bucket.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields

from rerank_core.errors import CorruptError
from rerank_core.frontends import json_pages, redis_copy
from rerank_core.operations import leftovers, renditions, retention
from rerank_core.operations.retention import Work
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Maintained:
    """What a clean-up of a pipeline found and did; of a dry run, what a clean-up would do."""

    dry_run: bool
    repaired: bool  # latest.json did not show the page
    redis_written: int  # topics that the hot copy lacked
    redis_failed: int  # topics that could not be written into the hot copy
    vectors_removed: int  # from Milvus: their texts are gone
    vectors_failed: int  # 1: Milvus did not answer; the next clean-up tries again
    publications: int  # of these:
    publications_kept: int
    publications_deleted: int
    runs_emptied: int  # their artifacts, topics and metrics are deleted
    revisions_deleted: int
    documents_deleted: int
    segments_deleted: int  # of the index of terms: no run has read them for a while
    texts_deleted: int  # raw texts of revisions that stay
    text_scores_deleted: int  # of a search engine's candidates
    months: int  # of the ledger; of these:
    months_kept: int  # within retention
    months_needed: int  # past retention, but an article that may still be ranked has its scores there
    months_dropped: int
    months_busy: int  # somebody was using the ledger; the next clean-up tries again
    files: int  # below the pipeline's folder; of these:
    files_named: int  # a row or latest.json names them
    files_young: int  # nothing names them; they were written within the grace period
    files_waiting: int  # nothing names them; a reader may have their path until they are due
    files_removed: int
    files_held: int  # they were due, and the page needs them
    files_failed: int  # the store refused; the next clean-up tries again
    files_foreign: (
        int  # not of this database's runs, not named as this library names files, or links: left alone
    )
    renditions: int  # pictures and frames, of all pipelines; of these:
    renditions_named: int  # a revision or a document has them, or a run lately had
    renditions_young: int  # written within the grace period
    renditions_removed: int  # nothing uses them
    renditions_failed: int  # the store refused; the next clean-up tries again
    renditions_foreign: int  # not named as this library names renditions, or links: left alone
    removals_refused: int  # rows that ask for the removal of what the store does not name
    bytes_removed: int


def maintain(*, database: Database, store: Store, settings: Settings, dry_run: bool = False) -> Maintained:
    """Clean up after one pipeline, with the ledger and the texts, which pipelines share.

    `dry_run` changes nothing, and counts what would be done now. Raises StoreUnavailable, SettingsError or
    DatabaseUnavailable (what was done before stays done), and CorruptError if the counts do not add up.
    """
    with database.transaction(read_only=True) as connection:
        now = db.the(connection, "runs.now")["now"]
    work = Work(database, store, settings, now, dry_run)
    counts: Counter[str] = Counter()
    for name, step in STEPS.items():
        step_counts = step(work)
        counts.update(step_counts)
        shown = " ".join(f"{field}={number}" for field, number in step_counts.items() if number)
        log.info("%s%s: %s", "dry run, " if dry_run else "", name, shown or "nothing")
    result = Maintained(
        dry_run=dry_run,
        repaired=counts.pop("repaired") > 0,
        **{
            field.name: counts[field.name]
            for field in fields(Maintained)
            if field.name not in ("dry_run", "repaired")
        },
    )
    _check(result)
    return result


def _check(result: Maintained) -> None:
    """Raises CorruptError if something was looked at and is in no bucket, or in two."""
    values = vars(result)
    for whole in ("publications", "months", "files", "renditions"):
        parts = sum(value for name, value in values.items() if name.startswith(f"{whole}_"))
        if parts != values[whole]:
            raise CorruptError(
                f"clean-up: {whole} do not add up: {values[whole]} looked at, {parts} counted; repeat it, and report it"
            )


def _repair_topic_files(work: Work) -> dict[str, int]:
    """Write latest.json again if it does not show the page, or names a file that is missing."""
    latest = json_pages.read_latest(work.store, work.pipeline)
    folder = work.store.files(latest["pages"]) if latest else []
    rewrite = latest is not None and not {file.path for file in folder}.issuperset(json_pages.paths(latest))
    if work.dry_run:
        return {
            "repaired": int(rewrite or not json_pages.is_up_to_date(work.database, work.store, work.pipeline))
        }
    done = json_pages.repair(
        database=work.database, store=work.store, settings=work.settings, rewrite=rewrite
    )
    return {"repaired": int(done.replaced)}


def _refresh_redis(work: Work) -> dict[str, int]:
    """Bring the hot copy up to date, if the settings ask for one; its time to live starts again."""
    if work.dry_run:
        return {}
    return redis_copy.follow(database=work.database, settings=work.settings, topics=0)


# In order: rows before their files, and what readers get before what is removed for good.
STEPS: dict[str, Callable[[Work], dict[str, int]]] = {
    "publications": retention.delete_publications,
    "runs": retention.empty_runs,
    "revisions": retention.delete_revisions,
    "documents": retention.delete_documents,
    "segments": retention.delete_segments,
    "texts": retention.delete_texts,
    "months": retention.drop_months,
    "text scores": retention.delete_text_scores,
    "topic files": _repair_topic_files,
    "redis": _refresh_redis,
    "vectors": leftovers.remove_vectors,
    "files": leftovers.remove_files,
    "renditions": renditions.remove_renditions,
}
