"""Folders that other users of this machine may enter."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder for everybody, until the end of the block.

    It is none of pytest's: each pytest of the same user that starts takes the rights of others from the folder above all of pytest's.
    """
    folder = Path(tempfile.mkdtemp(prefix="rerank-tests-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
