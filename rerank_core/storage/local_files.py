"""Files of a store in a local folder: written whole or not at all, listed, and removed. No symbolic link is followed.

A link that somebody puts into the folder would lead a write or a clean-up out of it. The folder itself may be one.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rerank_core.errors import SettingsError

if TYPE_CHECKING:  # a machine that only makes a copy of a checkpoint needs no Arrow
    import pyarrow as pa

# A link, a socket, no name, no right.
_NOT_READ = frozenset({errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG, errno.EACCES})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def write(root: str, path: str, content: "pa.Buffer", *, flush: bool = True) -> None:
    """Write a file below the root, whole or not at all; it is there after a power cut, too. The folders above it are made.

    Without `flush`, its name may be lost until `flush_folder` was called. Raises SettingsError if a link is in the way.
    """
    *folders, name = path.split("/")
    _make_folder(Path(root))
    try:
        with _opened(root, folders, make=True) as handles:
            replace(handles[-1], name, content, flush=flush)
    except FileNotFoundError:  # a clean-up has just removed a folder, which was empty
        with _opened(root, folders, make=True) as handles:
            replace(handles[-1], name, content, flush=flush)


def flush_folder(root: str, folder: str) -> None:
    """Flush the names in a folder below the root, if it is there. Raises SettingsError if a link is in the way."""
    with suppress(FileNotFoundError), _opened(root, folder.split("/")) as handles:
        os.fsync(handles[-1])


def read(root: str, path: str, most: int) -> bytes | None:
    """A file below the root, at most one byte more than `most`. None if it is not there, is no file,
    is behind a link, or may not be read: whoever delivers it decides that, and must not stop who reads others."""
    *folders, name = path.split("/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # no wait for a pipe or a device
    try:
        with _opened(root, folders) as handles:
            with os.fdopen(os.open(name, flags, dir_fd=handles[-1]), "rb") as stream:
                is_file = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
                return stream.read(most + 1) if is_file else None
    except (FileNotFoundError, IsADirectoryError, SettingsError):
        return None
    except OSError as error:
        if error.errno in _NOT_READ:
            return None
        raise


def replace(folder: int, name: str, content: "pa.Buffer", *, flush: bool = True) -> None:
    """Write a file into the folder of a handle; a file of that name is replaced in one step. See `write`."""
    draft = f".{name}.{secrets.token_hex(4)}.tmp"
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
    if flush:
        os.fsync(folder)


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


def listed(root: str, folder: str) -> Iterator[tuple[str, int, datetime, bool]]:
    """Path, bytes, time of change, and whether it is a link, of every file and link below a folder.

    Raises SettingsError if a link leads to the folder.
    """
    parts = [part for part in folder.split("/") if part]
    with suppress(FileNotFoundError), _opened(root, parts) as handles:
        for below, folders, names, handle in os.fwalk(dir_fd=handles[-1], onerror=_refused):
            inside = [*parts, *Path(below).parts]
            for name in (*names, *folders):
                try:
                    status = os.stat(name, dir_fd=handle, follow_symlinks=False)
                except FileNotFoundError:  # removed meanwhile
                    continue
                is_link = stat.S_ISLNK(status.st_mode)
                if is_link or stat.S_ISREG(status.st_mode):
                    changed = datetime.fromtimestamp(status.st_mtime, UTC)
                    yield "/".join([*inside, name]), status.st_size, changed, is_link


def _refused(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def remove(root: str, path: str) -> None:
    """Remove a file, and the folders above it, up to the root, as far as they are empty.

    Raises FileNotFoundError if it is gone, SettingsError if a link is in the way.
    """
    *folders, name = path.split("/")
    with _opened(root, folders) as handles:
        os.unlink(name, dir_fd=handles[-1])
        with suppress(OSError):  # a folder has files, or another clean-up was quicker
            for folder, above in zip(reversed(folders), reversed(handles[:-1]), strict=True):
                os.rmdir(folder, dir_fd=above)


@contextmanager
def _opened(root: str, parts: Sequence[str], *, make: bool = False) -> Iterator[list[int]]:
    """Handles of the root and of each folder on the way down, which stay right whatever becomes of their names.

    Raises FileNotFoundError if one is not there and not to be made, SettingsError if one below the root is a link.
    """
    handles: list[int] = []
    try:
        handles.append(os.open(root or "/", _FOLDER))
        for place, part in enumerate(parts, start=1):
            if make:
                _make_within(handles[-1], part)
            try:
                handles.append(os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=handles[-1]))
            except NotADirectoryError:  # so Linux says of a link, too
                raise _link(root, "/".join([root, *parts[:place]])) from None
        yield handles
    finally:
        for handle in handles:
            os.close(handle)


def _make_within(folder: int, name: str) -> None:
    """Make a folder in the folder of a handle, unless it is there."""
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
        os.fsync(folder)


def _link(root: str, path: str) -> SettingsError:
    return SettingsError(
        f"{path} is a symbolic link, or no folder; the store at {root} follows no link: put a folder or a mount there, or make"
        " the place that it leads to the store (RERANK_STORE_URL)"
    )
