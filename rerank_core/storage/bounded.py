"""Files that are read whole, plain or gzipped, and never more of them than a bound.

A gzipped file of a megabyte may unpack to a gigabyte, and a pipe may never end. So whoever reads a file whole says how
large it may be.
"""

import gzip
import zlib
from pathlib import Path

from rerank_core.errors import InputError

GZIP = b"\x1f\x8b"


def read_bounded(file: Path, *, most: int, what: str) -> bytes:
    """The content of a file, unpacked if it is gzipped.

    Raises InputError if the file cannot be read, is damaged, or holds more than `most` bytes; `what` begins the message.
    """
    try:
        with file.open("rb") as stream:
            packed = stream.peek(2)[:2] == GZIP
            content = (gzip.GzipFile(fileobj=stream) if packed else stream).read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{what} cannot be read: {reason}; name a file that this user may read") from error
    if len(content) > most:
        unpacked = " when it is unpacked" if packed else ""
        raise InputError(
            f"{what} holds more than {most >> 20} MB{unpacked}; split it, or see whether it is the right file"
        )
    return content
