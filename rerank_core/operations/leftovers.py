"""Leftovers: files and vectors that no row names any more are removed.

Two kinds of file go: files on the list `store_removal` whose grace period is over, and orphans. An orphan is a file
that no row names. A try that was frozen between writing and committing may still name it. Such a try is fenced off
before its file is removed, so it cannot commit a path that leads nowhere.

Every file of the pipeline lands in one counted bucket. Files that the page needs stay, even if they are due. Nothing goes
that the store does not name itself: a row of `store_removal` that asks for something else is refused and counted, and a
symbolic link is left alone.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rerank_core.errors import SettingsError, StoreUnavailable
from rerank_core.frontends import json_pages
from rerank_core.operations.retention import BATCH, Work, list_files
from rerank_core.recall.milvus import MilvusVectors
from rerank_core.storage import database as db
from rerank_core.storage.store import Name, Store, StoredFile

log = logging.getLogger(__name__)

FAILURES = 5  # files in a row that the store refuses before the clean-up gives up


def remove_vectors(work: Work) -> dict[str, int]:
    """Remove vectors from Milvus whose texts are gone; vectors in Postgres go with their texts."""
    if work.settings.milvus_url is None:
        return {}
    with work.database.transaction(read_only=True) as connection:
        embedders = db.rows(connection, "leftovers.embedders", pipeline=work.pipeline)
    removed = 0
    try:
        for embedder in embedders:
            opened = MilvusVectors(
                work.settings.milvus_url,
                digest=embedder["digest"],
                dimensions=embedder["dimensions"],
                make=False,
            )
            with opened as vectors:
                if not vectors.is_there:  # its vectors are in Postgres
                    continue
                gone = _gone(work, vectors.ids())
                if not work.dry_run:
                    vectors.drop(gone)
                removed += len(gone)
                if not embedder["in_use"]:
                    vectors.release()
    except (StoreUnavailable, SettingsError) as error:
        log.warning("Milvus keeps vectors of texts that are gone: %s", error)
        return {"vectors_removed": removed, "vectors_failed": 1}
    return {"vectors_removed": removed}


def _gone(work: Work, document_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Those of these documents that the database does not have any more."""
    stored: list[int] = []
    with work.database.transaction(read_only=True) as connection:
        for start in range(0, len(document_ids), BATCH):
            part = document_ids[start : start + BATCH].tolist()
            rows = db.rows(connection, "ledger.documents", document_ids=part)
            stored += [row["document_id"] for row in rows]
    return np.setdiff1d(document_ids, np.asarray(stored, dtype=np.int64))


def remove_files(work: Work) -> dict[str, int]:
    """Remove files that are due, and orphans; counts the fate of each file of the pipeline.

    Raises StoreUnavailable if the store refuses FAILURES files in a row.
    """
    listing = {file.path: file for file in work.store.files(f"{work.pipeline}/")}
    latest = json_pages.read_latest(work.store, work.pipeline)
    with work.database.transaction(read_only=True) as connection:
        rows = db.rows(connection, "leftovers.named", pipeline=work.pipeline, run_id=None)
        listed = db.rows(connection, "leftovers.removals", pipeline=work.pipeline)
    named = {row["path"] for row in rows} | ({str(latest["pages"])} if latest else set())
    due, refused = _sort_out({row["path"]: row["reason"] for row in listed if row["due"]}, listing)
    waiting = {row["path"] for row in listed if not row["due"]}
    fates: dict[str, str] = {}  # by path
    orphans = []
    for path, file in listing.items():
        name = Store.parse(path)
        folder = name.folder if name is not None else None
        if name is None or file.is_link:
            fates[path] = "foreign"
        elif path in due or folder in due:
            continue
        elif path in waiting or folder in waiting:
            fates[path] = "waiting"
        elif name.kind == "latest" or path in named or folder in named:
            fates[path] = "named"
        elif file.modified >= work.grace:
            fates[path] = "young"
        else:
            orphans.append((file, name))
    due |= _settle_orphans(work, orphans, fates)
    freed = _remove(work, listing, due, fates)
    counts = Counter(f"files_{fate}" for fate in fates.values())
    return {"files": len(fates), **counts, "removals_refused": len(refused), "bytes_removed": freed}


def _sort_out(
    asked: Mapping[str, str], listing: Mapping[str, StoredFile]
) -> tuple[dict[str, str], list[str]]:
    """Of the removals that are due (path → reason): those of files that the store has named, and paths of the others."""
    due, refused = {}, []
    for path, reason in asked.items():
        name = Store.parse(path)
        is_link = path in listing and listing[path].is_link
        if name is None or name.kind == "latest" or is_link:
            log.error(
                "%s is on the list of removals (%s), and this library makes no such file to remove: it is left alone; see who"
                " has listed it, and delete its row of rerank.store_removal",
                path,
                reason,
            )
            refused.append(path)
        else:
            due[path] = reason
    return due, refused


def _settle_orphans(
    work: Work, orphans: Sequence[tuple[StoredFile, Name]], fates: dict[str, str]
) -> dict[str, str]:
    """Decide on files that no row seems to name; returns path → reason of those that can go at once."""
    gone = {file.path: "draft of a killed try" for file, name in orphans if name.kind == "draft"}
    # Nobody knows when latest.json stopped naming these topic files: their grace period begins now.
    folders = sorted({name.folder for _, name in orphans if name.folder is not None})
    fates |= {file.path: "waiting" for file, name in orphans if name.folder is not None}
    if folders and not work.dry_run:
        with work.transaction() as connection:
            list_files(connection, folders, work, "topic files: nothing names them")
    by_run: dict[int, list[tuple[str, Name]]] = defaultdict(list)
    for file, name in orphans:
        if name.run_id is not None:
            by_run[name.run_id].append((file.path, name))
    for run_id, files in by_run.items():
        fenced_off = _fence_off(work, run_id, files)
        fates |= {path: fate for path, fate in fenced_off.items() if fate != "orphan"}
        gone |= {path: "orphan" for path, fate in fenced_off.items() if fate == "orphan"}
    return gone


def _fence_off(work: Work, run_id: int, files: Sequence[tuple[str, Name]]) -> dict[str, str]:
    """Keep every try of the run from naming these files; returns path → fate, "orphan" if it can go."""
    with work.transaction() as connection:
        held = db.one(connection, "runs.hold_fence", run_id=run_id)
        rows = db.rows(connection, "leftovers.named", pipeline=work.pipeline, run_id=run_id)
        named = {row["path"] for row in rows}
        if held is None:
            log.warning("files of run %d, which this database does not know, are left alone", run_id)
            return {path: "foreign" for path, _ in files}
        fates = {path: "named" if path in named else "orphan" for path, _ in files}
        fence = max((name.fence or 0 for path, name in files if fates[path] == "orphan"), default=-1)
        if fence > held["fence"]:
            log.warning("files of run %d are of a try that this database does not know; left alone", run_id)
            return {path: "foreign" if fate == "orphan" else fate for path, fate in fates.items()}
        if fence == held["fence"] and not work.dry_run:
            db.one(connection, "runs.take_fence", run_id=run_id)
        return fates


def _remove(
    work: Work, listing: Mapping[str, StoredFile], due: Mapping[str, str], fates: dict[str, str]
) -> int:
    """Remove what is due, except for what the page needs; returns the bytes that became free."""
    with work.database.transaction(read_only=True) as connection:
        needed = {row["path"] for row in db.rows(connection, "leftovers.needed", pipeline=work.pipeline)}
    latest = json_pages.read_latest(work.store, work.pipeline)
    needed |= {str(latest["pages"])} if latest else set()
    inside: dict[str, list[str]] = defaultdict(list)  # a file, or its folder → files whose fate is open
    for path in listing:
        if path not in fates:
            inside[path].append(path)
            inside[path.rpartition("/")[0] + "/"].append(path)
    freed, failures = 0, 0
    for path, reason in sorted(due.items()):
        files = inside[path]
        size = sum(listing[file].bytes for file in files)
        fate = "removed"
        if path in needed:
            log.warning(
                "%s is due (%s), and the page needs it; it stays until the page moves on", path, reason
            )
            fate = "held"
        elif not work.dry_run:
            try:
                if path.endswith("/"):
                    work.store.remove_folder(path, files)
                else:
                    work.store.remove(path)
                failures = 0
            except (StoreUnavailable, SettingsError) as error:
                log.error("%s is not removed: %s", path, error)
                fate, failures = "failed", failures + 1
                if failures == FAILURES:
                    raise
        fates |= dict.fromkeys(files, fate)
        if fate == "removed":
            freed += size
            log.info("removed %s: %d files, %d bytes (%s)", path, len(files), size, reason)
            if not work.dry_run:
                with work.transaction() as connection:
                    db.execute(connection, "leftovers.removed", paths=[path])
    return freed
