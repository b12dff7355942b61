"""Messages between prepare and its helpers: a length of four bytes, then JSON.

A helper reads what strangers wrote, so nothing that it sends may run: JSON makes text, numbers and lists of them.
"""

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

LENGTH = struct.Struct(">I")
TOO_LARGE = 75  # exit status of a helper whose article takes more memory than it may


def framed(message: Mapping[str, Any]) -> bytes:
    """The message as it is sent. A lone surrogate, which UTF-8 refuses, passes here."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return LENGTH.pack(len(body)) + body


def received(stream: IO[bytes]) -> bytes | None:
    """The body of the next message of a stream that blocks; None if the stream has ended."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None
