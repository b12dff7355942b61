"""Every path of a run's artifacts, atomic write and checked read.

An artifact is written once under a name that no other try uses, fsynced, and only then named in
Postgres; a reader that follows the database therefore never sees half of one. Local folders,
s3:// and gs:// work alike (pyarrow.fs); on an object store the upload itself is atomic.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from rerank_core.errors import CorruptError, SettingsError, StoreUnavailable


@dataclass(frozen=True)
class Artifact:
    """One immutable file of the store."""

    path: str  # relative to the store's root
    sha256: str  # of the file's bytes, hex
    rows: int


class Store:
    """The folder that all workers share."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            filesystem, root = pafs.FileSystem.from_uri(
                self.url if "://" in self.url else Path(url).resolve().as_uri()
            )
        except (pa.ArrowInvalid, ValueError, OSError) as error:
            raise SettingsError(
                f"RERANK_STORE_URL = {url!r} is not a store: {error}; use file:///folder, s3:// or gs://"
            ) from error
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def __repr__(self) -> str:
        return f"Store({self.url})"

    def members_path(self, *, pipeline: str, run_id: int, fence: int) -> str:
        """The window's documents, frozen for a run."""
        return f"{pipeline}/runs/{run_id}/members-{fence}.parquet"

    def pairs_path(self, *, pipeline: str, run_id: int, fence: int) -> str:
        """The topic × document pairs, frozen for a run."""
        return f"{pipeline}/runs/{run_id}/pairs-{fence}.parquet"

    def light_path(self, *, pipeline: str, run_id: int, fence: int) -> str:
        """The light order of the pairs that stayed unscored."""
        return f"{pipeline}/runs/{run_id}/light-{fence}.parquet"

    def ranking_path(self, *, pipeline: str, run_id: int, as_of: datetime, version: int, fence: int) -> str:
        """The published ranking of a run."""
        return f"{pipeline}/rankings/{as_of:%Y/%m/%d/%H%M%S}-run{run_id}-v{version}-{fence}.parquet"

    def full_path(self, path: str) -> str:
        """What a reader opens: a plain path for a local store, else a URL."""
        if isinstance(self._filesystem, pafs.LocalFileSystem):
            return f"{self._root}/{path}"
        return f"{self.url}/{path}"

    def write(self, path: str, table: pa.Table) -> Artifact:
        """Write a table as Parquet, whole or not at all.

        Raises StoreUnavailable where the store refuses; nothing stands under `path` then.
        """
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", store_schema=True)
        content = sink.getvalue()
        target = f"{self._root}/{path}"
        with self._mapped_errors(path):
            if isinstance(self._filesystem, pafs.LocalFileSystem):
                _write_local(Path(target), content)
            else:
                with self._filesystem.open_output_stream(target) as stream:
                    stream.write(content)
        return Artifact(path=path, sha256=hashlib.sha256(content).hexdigest(), rows=table.num_rows)

    def read(self, path: str, *, schema: pa.Schema, sha256: str | None = None) -> pa.Table:
        """Read a Parquet artifact; raises CorruptError where it is gone, altered or of another schema."""
        with self._mapped_errors(path):
            try:
                with self._filesystem.open_input_file(f"{self._root}/{path}") as stream:
                    content = stream.read_buffer()
            except FileNotFoundError as error:
                raise CorruptError(
                    f"artifact {path} is not in {self.url}; it is past retention, or the store is not shared"
                ) from error
        if sha256 is not None:
            found = hashlib.sha256(content).hexdigest()
            if found != sha256:
                raise CorruptError(
                    f"artifact {path}: expected sha256 {sha256}, found {found}; restore the file"
                )
        try:
            table = pq.read_table(pa.BufferReader(content))
        except (pa.ArrowInvalid, OSError) as error:
            raise CorruptError(f"artifact {path} is not Parquet: {error}; restore the file") from error
        if not table.schema.equals(schema):
            raise CorruptError(
                f"artifact {path}: expected columns {schema.names}, found {table.schema.names}"
            )
        return table

    def check_writable(self) -> None:
        """Write, read and delete a small file. Raises StoreUnavailable."""
        path = f"{self._root}/.check-{os.getpid()}"
        with self._mapped_errors(path):
            self._filesystem.create_dir(self._root, recursive=True)
            with self._filesystem.open_output_stream(path) as stream:
                stream.write(b"news-rerank")
            self._filesystem.delete_file(path)

    @contextmanager
    def _mapped_errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(
                f"{self.url}: {path}: {error.strerror or error}; check that the folder is writable and not full"
            ) from error


def _write_local(target: Path, content: pa.Buffer) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too, survives a power cut
    finally:
        os.close(folder)
