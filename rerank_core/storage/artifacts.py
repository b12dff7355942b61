"""What a frozen run is made from, read back from the store. The stages after recall meet in these files."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rerank_core.errors import CorruptError
from rerank_core.records import Run
from rerank_core.storage import schemas
from rerank_core.storage.store import Store

Ids = npt.NDArray[np.int64]
LightLabel = Literal["bm25", "embedding"]
_LABEL = b"ranked_by"  # in the Parquet file's metadata


def read_members(store: Store, run: Run) -> pa.Table:
    """The documents of the freshness window (schemas.MEMBERS). Raises CorruptError if the file is gone or altered."""
    return _read(store, run, run.members_path, run.members_sha256, schemas.MEMBERS)


def read_pairs(store: Store, run: Run) -> pa.Table:
    """The topic × document pairs (schemas.PAIRS). Raises CorruptError if the file is gone or altered."""
    return _read(store, run, run.pairs_path, run.pairs_sha256, schemas.PAIRS)


def read_work(store: Store, run: Run) -> tuple[pa.Table, int]:
    """The pairs that the run wants scored (schemas.PAIRS), and the number of its other pairs, which are not kept in memory."""
    path, sha256 = _named(run, run.pairs_path, run.pairs_sha256)
    return store.read_where(path, "work", schema=schemas.PAIRS, sha256=sha256)


def read_light(store: Store, run: Run) -> pa.Table:
    """The light order of the pairs that stayed unscored (schemas.LIGHT). Empty if every pair has a score."""
    if run.light_path is None:
        return schemas.LIGHT.empty_table()
    return _read(store, run, run.light_path, run.light_sha256, schemas.LIGHT)


def labelled(light: pa.Table, label: LightLabel) -> pa.Table:
    """A light order that says what made it."""
    return light.replace_schema_metadata({_LABEL: label.encode()})


def label_of(light: pa.Table) -> LightLabel:
    """What made a light order: the label of the rows that it ranks."""
    return "embedding" if (light.schema.metadata or {}).get(_LABEL) == b"embedding" else "bm25"


def clusters_of(members: pa.Table) -> tuple[Ids, Ids]:
    """The row at which each cluster begins among the members (schemas.MEMBERS), and its number of articles; int64 both."""
    scored = members.column("scored_document_id").to_numpy()
    starts = np.flatnonzero(np.diff(scored, prepend=-1)).astype(np.int64)
    return starts, np.diff(starts, append=len(scored)).astype(np.int64)


def find_ids(ascending: Ids, wanted: Ids) -> Ids:
    """The place of each wanted id among ascending ids; −1 if it is not there."""
    if not len(ascending):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[places] == wanted, places, -1)


def _read(store: Store, run: Run, path: str | None, sha256: str | None, schema: pa.Schema) -> pa.Table:
    path, sha256 = _named(run, path, sha256)
    return store.read(path, schema=schema, sha256=sha256)


def _named(run: Run, path: str | None, sha256: str | None) -> tuple[str, str | None]:
    """Path and digest of a run's artifact. Raises CorruptError if the run has none."""
    if path is None and run.frozen:
        raise CorruptError(
            f"run {run.run_id} ({run.key}) is past retention: what it was made from is deleted; start a new run"
        )
    if path is None:
        raise CorruptError(f"run {run.run_id} ({run.key}) is not frozen yet; run its recall stage first")
    return path, sha256
