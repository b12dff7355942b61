"""Every path of the store, atomic write and checked read.

No path leads out of the store's folder: a path with an empty part, `.` or `..` is refused, and so is one with any sign that
this library never writes. No symbolic link below a local folder is followed by a write, a listing or a removal.

A file is written once under a name that no other try uses, fsynced, and only then named in Postgres. So a reader
that follows the database never sees half a file. `latest.json` alone is replaced, in one step, and last. Local folders, s3:// and gs:// work alike (pyarrow.fs); on an object store the upload is
atomic by itself. No message shows what a URL has before its @ or behind its question mark.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from rerank_core.errors import HIDDEN, CorruptError, SettingsError
from rerank_core.storage import local_files, rendition_names, store_errors, store_headers, store_url

Kind = Literal["members", "pairs", "light", "ranking", "page", "latest", "rendition", "draft"]


LONGEST_PATH = 1_000  # characters; object stores take 1,024 bytes
_PART = r"\.?[A-Za-z0-9_][A-Za-z0-9._-]{0,249}"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*/?")
_NAMES = re.compile(
    rf"""(?x)
    (?P<rendition>{rendition_names.NAME})
  | (?P<draft>(?:{re.escape(rendition_names.RENDITIONS)}|[a-z0-9][a-z0-9_-]*/)(?:{_PART}/)*\.[A-Za-z0-9._-]+\.[0-9a-f]+\.tmp)
  | [a-z0-9][a-z0-9_-]*/(?:
        runs/(?P<run>\d{{1,18}})/(?P<artifact>members|pairs|light)-(?P<fence>\d{{1,18}})(?:-[0-9a-f]+)?\.parquet
      | rankings/\d+/\d+/\d+/\d+-run(?P<ranking_run>\d{{1,18}})-v\d+-(?P<ranking_fence>\d{{1,18}})(?:-[0-9a-f]+)?\.parquet
      | (?P<page>pages/\d+-[0-9a-f]+/)(?:[a-z0-9][a-z0-9_-]*(?:(?:\.feed)?\.json|\.atom\.xml))?
      | (?P<latest>latest\.json)
    )"""
)


@dataclass(frozen=True)
class Artifact:
    """One immutable file of the store."""

    path: str  # relative to the store's root
    sha256: str  # of the file's bytes, hex
    rows: int


@dataclass(frozen=True)
class StoredFile:
    """A file that a listing found."""

    path: str  # relative to the store's root
    bytes: int
    modified: datetime  # by the store's clock
    is_link: bool = False  # a symbolic link, to whatever: this library makes none


@dataclass(frozen=True)
class Name:
    """What a path of the store says."""

    kind: Kind
    run_id: int | None = None  # of an artifact or a ranking
    fence: int | None = None  # of the try that wrote it
    folder: str | None = None  # of a topic file, or of topic files: all that were written together
    sha256: str | None = None  # of a rendition


class Store:
    """The folder that all workers share."""

    def __init__(self, url: str) -> None:
        scheme, separator, rest = url.partition("://")
        self.has_credentials = scheme not in {"", "file"} and "@" in rest.partition("/")[0]
        remote = bool(separator) and scheme != "file"
        self.url = store_url.shown(url)
        uri = store_url.as_uri(url)
        try:
            with self._mapped_errors("", when=remote):
                filesystem, root = pafs.FileSystem.from_uri(uri)
        except (pa.ArrowInvalid, ValueError, OSError) as error:
            reason = "" if self.url == HIDDEN else f": {error}"
            raise SettingsError(
                f"RERANK_STORE_URL = {self.url!r} is not a store{reason}; {store_url.FORMS}"
            ) from None
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._local = isinstance(filesystem, pafs.LocalFileSystem)
        self._unflushed: set[str] = set()  # folders whose names are flushed later
        self.local_folder = Path(self._root or "/") if self._local else None
        self.url = Path(self._root or "/").as_uri() if self._local else f"{scheme}://{self._root}"

    def __repr__(self) -> str:
        return f"Store({self.url})"

    def members_path(self, *, pipeline: str, run_id: int, fence: int) -> str:
        """The window's documents, frozen for a run."""
        return f"{pipeline}/runs/{run_id}/members-{fence}-{_token()}.parquet"

    def pairs_path(self, *, pipeline: str, run_id: int, fence: int) -> str:
        """The topic × document pairs, frozen for a run."""
        return f"{pipeline}/runs/{run_id}/pairs-{fence}-{_token()}.parquet"

    def light_path(self, *, pipeline: str, run_id: int, fence: int) -> str:
        """The light order of the pairs that stayed unscored."""
        return f"{pipeline}/runs/{run_id}/light-{fence}-{_token()}.parquet"

    def ranking_path(self, *, pipeline: str, run_id: int, as_of: datetime, version: int, fence: int) -> str:
        """The published ranking of a run."""
        day = f"{pipeline}/rankings/{as_of:%Y/%m/%d}"
        return f"{day}/{as_of:%H%M%S}-run{run_id}-v{version}-{fence}-{_token()}.parquet"

    def pages_folder(self, *, pipeline: str, publication_id: int) -> str:
        """A folder for the topic files of a publication, with a slash at the end; a new name each time."""
        return f"{pipeline}/pages/{publication_id}-{_token()}/"

    def latest_path(self, pipeline: str) -> str:
        """The one file that is replaced: it names the topic files."""
        return f"{pipeline}/latest.json"

    @staticmethod
    def parse(path: str) -> Name | None:
        """What a path says; None if no method above has named such a file, or folder of topic files."""
        found = _NAMES.fullmatch(path)
        if found is None:
            return None
        if found["draft"]:
            return Name("draft")
        if found["rendition"]:
            return Name("rendition", sha256=found["sha256"])
        if found["latest"]:
            return Name("latest")
        if found["page"]:
            return Name("page", folder=path.rpartition("/")[0] + "/")
        if found["ranking_run"]:
            return Name("ranking", run_id=int(found["ranking_run"]), fence=int(found["ranking_fence"]))
        kind: Kind = found["artifact"]  # type: ignore[assignment]
        return Name(kind, run_id=int(found["run"]), fence=int(found["fence"]))

    def full_path(self, path: str) -> str:
        """What a reader opens: a plain path for a local store, else a URL without credentials."""
        return self._below(self._root if self._local else self.url, path)

    def _at(self, path: str) -> str:
        """The path as the file system takes it."""
        return self._below(self._root, path)

    @staticmethod
    def _below(root: str, path: str) -> str:
        """Where a path is: the one place that joins the store's folder and a path. Empty is the folder itself.

        Raises CorruptError if the path is none of a store: it could lead elsewhere.
        """
        if path and (len(path) > LONGEST_PATH or not _PATH.fullmatch(path)):
            raise CorruptError(
                f"{path[:80]!r} is no path of a store: its parts are letters, digits, `.`, `-` and `_`, and none is empty, `.`"
                " or `..`; correct whatever names it"
            )
        return f"{root}/{path}"

    def write(self, path: str, table: pa.Table, more: Iterable[pa.Table] = ()) -> Artifact:
        """Write a table as Parquet, whole or not at all. Each of `more`, of the same schema, begins a row group of its own.

        Raises StoreUnavailable if the store refuses, SettingsError if it refuses for good. Nothing is under `path`
        then.
        """
        sink, rows = pa.BufferOutputStream(), 0
        with pq.ParquetWriter(sink, table.schema, compression="zstd", store_schema=True) as writer:
            for part in chain([table], more):
                writer.write_table(part)
                rows += part.num_rows
        content = sink.getvalue()
        self._put(path, content, None)
        return Artifact(path=path, sha256=hashlib.sha256(content).hexdigest(), rows=rows)

    def write_json(self, path: str, content: bytes) -> None:
        """Write a JSON file, a feed or a picture, whole or not at all. If the file is replaced, readers see the old one or the new one.

        An object store is told how long a reader may cache it.
        """
        name = self.parse(path)
        written_once = name is not None and name.kind in {"page", "rendition"}
        self._put(path, pa.py_buffer(content), store_headers.headers(path, written_once=written_once))

    write_picture = write_json  # of a rendition: its name is its digest, so it never changes

    @contextmanager
    def flushing_once(self, folder: str) -> Iterator[None]:
        """Meanwhile names in this folder, with a slash at its end, are not flushed one by one, but at the end; after an error never."""
        self._unflushed.add(folder)
        try:
            yield
        finally:
            self._unflushed.discard(folder)
        if self._local:
            with self._mapped_errors(folder):
                local_files.flush_folder(self._root, folder.rstrip("/"))

    def _put(self, path: str, content: pa.Buffer, metadata: dict[str, str] | None) -> None:
        target = self._at(path)
        with self._mapped_errors(path):
            if self._local:
                flush = path[: path.rfind("/") + 1] not in self._unflushed
                local_files.write(self._root, path, content, flush=flush)
            else:
                with self._filesystem.open_output_stream(target, metadata=metadata) as stream:
                    stream.write(content)

    def read(self, path: str, *, schema: pa.Schema, sha256: str | None = None) -> pa.Table:
        """Read a Parquet artifact. Raises CorruptError if it is gone, altered or of another schema."""
        with self._parquet(path, schema, sha256) as file:
            return file.read()

    def read_where(
        self, path: str, flag: str, *, schema: pa.Schema, sha256: str | None = None
    ) -> tuple[pa.Table, int]:
        """The rows of a Parquet artifact whose boolean column `flag` is true, and the number of the others; else as `read`.

        Row groups without such a row are not decoded.
        """
        with self._parquet(path, schema, sha256) as file:
            place, meta = schema.get_field_index(flag), file.metadata
            said = [meta.row_group(number).column(place).statistics for number in range(meta.num_row_groups)]
            groups = [number for number, each in enumerate(said) if each is None or each.max is not False]
            batches = file.iter_batches(row_groups=groups) if groups else ()
            kept = [pa.Table.from_batches([batch]).filter(pc.field(flag)) for batch in batches]
            table = pa.concat_tables([schema.empty_table(), *kept])
            return table, meta.num_rows - table.num_rows

    @contextmanager
    def _parquet(self, path: str, schema: pa.Schema, sha256: str | None) -> Iterator[pq.ParquetFile]:
        content = self._checked(path, sha256)
        try:
            with pq.ParquetFile(pa.BufferReader(content)) as file:
                names = file.schema_arrow.names  # decodes them
                if not file.schema_arrow.equals(schema):
                    raise CorruptError(f"artifact {path}: expected columns {schema.names}, found {names}")
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise CorruptError(f"artifact {path} is not Parquet: {error}; restore the file") from error

    def read_bytes(self, path: str, *, sha256: str) -> bytes:
        """The bytes of an artifact. Raises CorruptError if it is gone or altered."""
        return bytes(self._checked(path, sha256))

    def verify(self, path: str, *, sha256: str) -> None:
        """Raise CorruptError if an artifact is gone or altered."""
        self._checked(path, sha256)

    def open_file(self, path: str) -> pa.NativeFile | None:
        """A file to read in parts, with `size`, `seek` and `read`; None if there is no such file. The caller closes it."""
        target = self._at(path)
        with self._mapped_errors(path):
            try:
                return self._filesystem.open_input_file(target)
            except FileNotFoundError:
                self._check_bucket()
                return None

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        stream = self.open_file(path)
        if stream is not None:
            stream.close()
        return stream is not None

    def _checked(self, path: str, sha256: str | None) -> pa.Buffer:
        content = self._get(path)
        if content is None:
            raise CorruptError(
                f"artifact {path} is not in {self.url}; it is past retention, or the store is not shared"
            )
        if sha256 is not None:
            found = hashlib.sha256(content).hexdigest()
            if found != sha256:
                raise CorruptError(
                    f"artifact {path}: expected sha256 {sha256}, found {found}; restore the file"
                )
        return content

    def read_delivered(self, path: str, most: int) -> bytes | None:
        """What others have put into the store, at most one byte more than `most`; None if it is no file of the store.

        No symbolic link is followed.
        """
        self._at(path)
        with self._mapped_errors(path):
            if self._local:
                return local_files.read(self._root, path, most)
            stream = self.open_file(path)
            if stream is None:
                return None
            with stream:
                return bytes(stream.read(most + 1))

    def read_json(self, path: str) -> bytes | None:
        """The bytes of a JSON file; None if there is no such file."""
        content = self._get(path)
        return None if content is None else content.to_pybytes()

    def _get(self, path: str) -> pa.Buffer | None:
        stream = self.open_file(path)
        if stream is None:
            return None
        with self._mapped_errors(path), stream:
            return stream.read_buffer()

    def files(self, folder: str) -> list[StoredFile]:
        """Every file and link below a folder, by path. No file if the folder does not exist.

        Raises SettingsError if a symbolic link leads to the folder.
        """
        selector = pafs.FileSelector(self._at(folder), recursive=True, allow_not_found=True)
        with self._mapped_errors(folder):
            if self._local:
                return sorted(
                    (StoredFile(*found) for found in local_files.listed(self._root, folder)),
                    key=lambda file: file.path,
                )
            found = self._filesystem.get_file_info(selector)
            if not found:
                self._check_bucket()
        files = [
            StoredFile(path=info.path[len(self._root) + 1 :], bytes=info.size, modified=info.mtime)
            for info in found
            if info.is_file
        ]
        return sorted(files, key=lambda file: file.path)

    def remove(self, path: str) -> bool:
        """Remove a file, and the local folders that it leaves empty. False if it was gone already."""
        target = self._at(path)
        with self._mapped_errors(path):
            try:
                if self._local:
                    local_files.remove(self._root, path)
                else:
                    self._filesystem.delete_file(target)
            except FileNotFoundError:
                return False
        return True

    def remove_folder(self, folder: str, paths: Sequence[str]) -> None:
        """Remove these files of a folder, and the folder if it has no others; what is gone already is passed over."""
        target = self._at(folder.rstrip("/"))
        if self._local or not {file.path for file in self.files(folder)} <= set(paths):
            for path in paths:
                self.remove(path)
            return
        with self._mapped_errors(folder), suppress(FileNotFoundError):
            self._filesystem.delete_dir(target)  # many files a request

    def check_writable(self) -> None:
        """Write, read and delete a small file. Raises StoreUnavailable, or SettingsError if the store refuses for good."""
        path = f".check-{_token()}"
        with self._mapped_errors(path):
            if self._local:
                self._filesystem.create_dir(self._root, recursive=True)
            with self._filesystem.open_output_stream(self._at(path)) as stream:
                stream.write(b"news-rerank")
            with self._filesystem.open_input_file(self._at(path)) as stream:
                stream.read()
            self._filesystem.delete_file(self._at(path))

    def _check_bucket(self) -> None:
        """Raise SettingsError if a file does not exist because its bucket does not."""
        if self._local:
            return
        bucket = self._root.partition("/")[0]
        if self._filesystem.get_file_info(bucket).type == pafs.FileType.NotFound:
            raise SettingsError(f"{self.url}: {'; '.join(store_errors.REFUSED['NO_SUCH_BUCKET'])}")

    @contextmanager
    def _mapped_errors(self, path: str, *, when: bool = True) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not when:
                raise
            where = f"{self.url}: {path}" if path else self.url
            is_local = self.url.startswith("file:")
            mapped = store_errors.explain(error, where, is_local, self.has_credentials)
            # A message of the object store's own may repeat what it was sent.
            raise mapped from (error if is_local else None)


def _token() -> str:
    """Makes a name unique, even if a database was restored and counts from an earlier number again."""
    return secrets.token_hex(4)
