"""A new checkpoint folder, which appears whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rerank_core.errors import InputError
from rerank_core.storage.local_files import flush_names


def check_target(target: Path) -> None:
    """Raises InputError if something has this name already."""
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} exists; give a new folder, or remove this folder first")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Gives a draft to write files into. It becomes `target` if nothing is raised meanwhile; else nothing is left behind.

    The folder is there after a power cut, too. Raises InputError if `target` exists or cannot be written.
    """
    check_target(target)
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        try:
            yield draft
            for file in draft.iterdir():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
            flush_names(draft)
            check_target(target)
            draft.rename(target)
            flush_names(target.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error}; give another place") from error
