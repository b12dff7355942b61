"""Every path of the store, atomic write and checked read.

A file is written once under a name that no other try uses, fsynced, and only then named in Postgres. So a reader
that follows the database never sees half a file. `latest.json` alone is replaced, in one step, and last. Local folders, s3:// and gs:// work alike (pyarrow.fs); on an object store the upload is
atomic by itself. No message shows what a URL has before its @ or behind its question mark.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from rerank_core.errors import CorruptError, RerankError, SettingsError, StoreUnavailable
from rerank_core.storage import store_url

JSON = {"Content-Type": "application/json; charset=utf-8"}
REPLACED = {**JSON, "Cache-Control": "no-cache"}  # ask each time
# Not for ever: what a cache still shows of a forgotten article has to go, too.
WRITTEN_ONCE = {**JSON, "Cache-Control": "max-age=3600, immutable"}

# What object stores refuse for good, by the code that Arrow gives: what is wrong, and what to do.
_REFUSED = {
    "NO_SUCH_BUCKET": ("the bucket does not exist", "create it, or correct RERANK_STORE_URL"),
    "ACCESS_DENIED": (
        "access denied",
        "let these credentials list, get, put and delete here (s3:ListBucket, s3:GetObject, s3:PutObject,"
        " s3:DeleteObject)",
    ),
    "INVALID_ACCESS_KEY_ID": ("the access key is not known", "correct AWS_ACCESS_KEY_ID"),
    "SIGNATURE_DOES_NOT_MATCH": ("the secret key is wrong", "correct AWS_SECRET_ACCESS_KEY"),
}
_NO_CREDENTIALS = (
    "access denied, and there are no credentials in AWS_ACCESS_KEY_ID",
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the host a role that may list, get, put and"
    " delete here",
)
_WRONG_REGION = (
    "the bucket is in another region",
    "set AWS_REGION, or add ?region=… to RERANK_STORE_URL",
)
_SAYS_REGION = re.compile(
    r"HTTP status 30[17]|AuthorizationHeaderMalformed|PERMANENT_REDIRECT|configured region"
)

Kind = Literal["members", "pairs", "light", "ranking", "page", "latest", "draft"]

_NAMES = re.compile(
    r"""(?x)
    [^/]+/(?:
        runs/(?P<run>\d+)/(?P<artifact>members|pairs|light)-(?P<fence>\d+)(?:-[0-9a-f]+)?\.parquet
      | rankings/\d+/\d+/\d+/\d+-run(?P<ranking_run>\d+)-v\d+-(?P<ranking_fence>\d+)(?:-[0-9a-f]+)?\.parquet
      | (?P<page>pages/\d+-[0-9a-f]+/)[^/]+\.json
      | (?P<latest>latest\.json)
      | (?P<draft>(?:[^/]+/)*\.[^/]+\.[0-9a-f]+\.tmp)
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


@dataclass(frozen=True)
class Name:
    """What a path of the store says."""

    kind: Kind
    run_id: int | None = None  # of an artifact or a ranking
    fence: int | None = None  # of the try that wrote it
    folder: str | None = None  # of a topic file: all that were written with it


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
            reason = "" if self.url == "(hidden)" else f": {error}"
            raise SettingsError(
                f"RERANK_STORE_URL = {self.url!r} is not a store{reason}; {store_url.FORMS}"
            ) from None
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._local = isinstance(filesystem, pafs.LocalFileSystem)
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
        """What a path says; None if no method above has named such a file."""
        found = _NAMES.fullmatch(path)
        if found is None:
            return None
        if found["draft"]:
            return Name("draft")
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
        return f"{self._root}/{path}" if self._local else f"{self.url}/{path}"

    def write(self, path: str, table: pa.Table) -> Artifact:
        """Write a table as Parquet, whole or not at all.

        Raises StoreUnavailable if the store refuses, SettingsError if it refuses for good. Nothing is under `path`
        then.
        """
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", store_schema=True)
        content = sink.getvalue()
        self._put(path, content, None)
        return Artifact(path=path, sha256=hashlib.sha256(content).hexdigest(), rows=table.num_rows)

    def write_json(self, path: str, content: bytes) -> None:
        """Write a JSON file, whole or not at all. If the file is replaced, readers see the old one or the new one.

        An object store is told how long a reader may cache it.
        """
        name = self.parse(path)
        headers = WRITTEN_ONCE if name is not None and name.kind == "page" else REPLACED
        self._put(path, pa.py_buffer(content), headers)

    def _put(self, path: str, content: pa.Buffer, metadata: dict[str, str] | None) -> None:
        target = f"{self._root}/{path}"
        with self._mapped_errors(path):
            if self._local:
                _write_local(Path(target), content)
            else:
                with self._filesystem.open_output_stream(target, metadata=metadata) as stream:
                    stream.write(content)

    def read(self, path: str, *, schema: pa.Schema, sha256: str | None = None) -> pa.Table:
        """Read a Parquet artifact. Raises CorruptError if it is gone, altered or of another schema."""
        content = self._checked(path, sha256)
        try:
            table = pq.read_table(pa.BufferReader(content))
        except (pa.ArrowInvalid, OSError) as error:
            raise CorruptError(f"artifact {path} is not Parquet: {error}; restore the file") from error
        if not table.schema.equals(schema):
            raise CorruptError(
                f"artifact {path}: expected columns {schema.names}, found {table.schema.names}"
            )
        return table

    def verify(self, path: str, *, sha256: str) -> None:
        """Raise CorruptError if an artifact is gone or altered."""
        self._checked(path, sha256)

    def read_file(self, path: str, *, sha256: str) -> bytes:
        """The bytes of an artifact as they were written. Raises CorruptError if it is gone or altered."""
        content: bytes = self._checked(path, sha256).to_pybytes()
        return content

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

    def read_json(self, path: str) -> bytes | None:
        """The bytes of a JSON file; None if there is no such file."""
        content = self._get(path)
        return None if content is None else content.to_pybytes()

    def _get(self, path: str) -> pa.Buffer | None:
        with self._mapped_errors(path):
            try:
                with self._filesystem.open_input_file(f"{self._root}/{path}") as stream:
                    return stream.read_buffer()
            except FileNotFoundError:
                self._check_bucket()
                return None

    def files(self, folder: str) -> list[StoredFile]:
        """Every file below a folder, by path. No file if the folder does not exist."""
        selector = pafs.FileSelector(f"{self._root}/{folder}", recursive=True, allow_not_found=True)
        with self._mapped_errors(folder):
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
        with self._mapped_errors(path):
            try:
                self._filesystem.delete_file(f"{self._root}/{path}")
            except FileNotFoundError:
                return False
            if self._local:
                _remove_empty(Path(self._root) / path, top=Path(self._root))
        return True

    def remove_folder(self, folder: str) -> bool:
        """Remove a folder that was written once, with all its files. False if it was gone already."""
        with self._mapped_errors(folder):
            try:
                self._filesystem.delete_dir(f"{self._root}/{folder.rstrip('/')}")
            except FileNotFoundError:
                return False
            if self._local:
                _remove_empty(Path(self._root) / folder, top=Path(self._root))
        return True

    def check_writable(self) -> None:
        """Write, read and delete a small file. Raises StoreUnavailable, or SettingsError if the store refuses for good."""
        path = f".check-{_token()}"
        with self._mapped_errors(path):
            if self._local:
                self._filesystem.create_dir(self._root, recursive=True)
            with self._filesystem.open_output_stream(f"{self._root}/{path}") as stream:
                stream.write(b"news-rerank")
            with self._filesystem.open_input_file(f"{self._root}/{path}") as stream:
                stream.read()
            self._filesystem.delete_file(f"{self._root}/{path}")

    def _check_bucket(self) -> None:
        """Raise SettingsError if a file does not exist because its bucket does not."""
        if self._local:
            return
        bucket = self._root.partition("/")[0]
        if self._filesystem.get_file_info(bucket).type == pafs.FileType.NotFound:
            raise SettingsError(f"{self.url}: {'; '.join(_REFUSED['NO_SUCH_BUCKET'])}")

    @contextmanager
    def _mapped_errors(self, path: str, *, when: bool = True) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not when:
                raise
            mapped = self._explain(error, path)
            # A message of the object store's own may repeat what it was sent.
            raise mapped from (error if self.url.startswith("file:") else None)

    def _explain(self, error: OSError, path: str) -> RerankError:
        """The error in our words; permanent if the same request fails again."""
        where, said = f"{self.url}: {path}" if path else self.url, str(error)
        code = re.search(r"AWS Error ([A-Z_]+)", said)
        if code is None:
            return StoreUnavailable(
                f"{where}: {error.strerror or error}; check that the folder is writable and not full"
            )
        refused = _REFUSED.get(code[1])
        if _SAYS_REGION.search(said):
            refused = _WRONG_REGION
        elif code[1] == "ACCESS_DENIED" and not (self.has_credentials or "AWS_ACCESS_KEY_ID" in os.environ):
            refused = _NO_CREDENTIALS
        if refused is not None:
            return SettingsError(f"{where}: {'; '.join(refused)}")
        status = re.search(r"HTTP status \d+", said)
        reason = status[0] if status else code[1].lower().replace("_", " ")
        return StoreUnavailable(f"{where}: {reason}; check the endpoint, the network and the region")


def _token() -> str:
    """Makes a name unique, even if a database was restored and counts from an earlier number again."""
    return secrets.token_hex(4)


def _write_local(target: Path, content: pa.Buffer) -> None:
    draft = target.with_name(f".{target.name}.{_token()}.tmp")
    try:
        try:
            _make_folder(target.parent)
            stream = draft.open("xb")
        except FileNotFoundError:  # a clean-up has just removed the folder, which was empty
            _make_folder(target.parent)
            stream = draft.open("xb")
        with stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    flush_names(target.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder, with those above it, unless it is there."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_names(folder.parent)


def flush_names(folder: Path) -> None:
    """Flush the names in a folder, so that files that were made or renamed are there after a power cut, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_empty(file: Path, *, top: Path) -> None:
    """Remove the folders above a file, up to `top`, as far as they are empty."""
    for folder in file.parents:
        if folder == top:
            return
        try:
            folder.rmdir()
        except OSError:  # it has files, or another clean-up was quicker
            return
