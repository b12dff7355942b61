"""JSON lines: the lines of a file, plain or gzipped, and the object in each line.

One line cannot spoil another. Whatever is wrong with a line, up to the file breaking off inside it, becomes a reason
that belongs to the line's number. A line of any length takes little memory, and a gzipped file that unpacks to hundreds of
times its size is not read on.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rerank_core.storage.bounded import GZIP

UNPACKED = 32 << 20  # bytes that may be unpacked, whatever the file's size; of a larger file
TIMES = 100  # so many times its size: texts unpack to about ten times theirs, at most
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class RawLine:
    """One line of a file."""

    number: int  # from 1
    raw: bytes = b""  # with its line feed; empty if there is a reason
    reason: str | None = None  # why the line cannot be used
    breaks_off: bool = False  # the file cannot be read further


def read_lines(stream: io.BufferedReader, *, longest: int) -> Iterator[RawLine]:
    """Every line; the first bytes tell whether the stream is gzipped. A line over `longest` bytes is skipped."""
    packed = stream.peek(2)[:2] == GZIP
    lines: io.BufferedIOBase | _Unpacked = _Unpacked(stream) if packed else stream
    number = 0
    while True:
        number += 1
        try:
            raw = lines.readline(longest + 1)
            if not raw:
                return
            too_long = len(raw) > longest
            while too_long and raw and not raw.endswith(b"\n"):
                raw = lines.readline(longest + 1)
        except (EOFError, zlib.error, OSError) as error:
            why = f"the file breaks off or is damaged here ({error}); lines before it were read"
            yield RawLine(number, reason=why, breaks_off=True)
            return
        if too_long:
            yield RawLine(number, reason=f"longer than {_size(longest)}; is this a file of JSON lines?")
        else:
            yield RawLine(number, raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw)


class _Unpacked:
    """Lines of a gzipped stream. Raises OSError if they come to far more than what was read of the stream."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._lines = gzip.GzipFile(fileobj=self)  # type: ignore[call-overload]  # it only reads
        self._packed = self._unpacked = 0

    def read(self, size: int) -> bytes:
        """Packed bytes, as GzipFile asks for them."""
        content = self._stream.read(size)
        self._packed += len(content)
        return content

    def readline(self, size: int) -> bytes:
        """The next line, or `size` bytes of it."""
        line: bytes = self._lines.readline(size)
        self._unpacked += len(line)
        if self._unpacked > max(UNPACKED, TIMES * self._packed):
            raise OSError(f"it unpacks to more than {TIMES} times its size")
        return line


def read_object(raw: bytes) -> dict[str, Any]:
    """The object in a line. Raises ValueError, which says what is wrong with the line."""
    try:
        value = json.loads(raw.rstrip().decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply in one another") from None
    except ValueError:
        raise ValueError("not JSON that can be read: a number has too many digits") from None
    if not isinstance(value, dict):
        raise ValueError(f"not an object but {kind(value)}; write one {{…}} a line")
    return value


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    kinds = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else kinds[type(value)]


def _size(count: int) -> str:
    return f"{count >> 20} MB" if count >= 1 << 20 else f"{count >> 10} KiB"
