"""Messages between prepare and its helpers: a length of four bytes, then JSON. Behind a zero byte, a question may have the content of a file.

A helper reads what strangers wrote, so nothing that it sends may run: JSON makes text, numbers and lists of them.
"""

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

LENGTH = struct.Struct(">I")
TOO_LARGE = 75  # exit status of a helper whose article takes more memory than it may


def framed(message: Mapping[str, Any], content: bytes | None = None) -> bytes:
    """The message as it is sent. A lone surrogate, which UTF-8 refuses, passes here."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    behind = () if content is None else (b"\0", content)  # JSON itself has no zero byte
    return b"".join((LENGTH.pack(len(body) + sum(map(len, behind))), body, *behind))


def looked_at(kind: str, content: bytes | None, caption: str | None) -> bytes:
    """The question what becomes of a medium and its caption. Without `content`, only the caption is made clean."""
    return framed({"look": {"kind": kind, "caption": caption}}, content)


def received(stream: IO[bytes]) -> bytes | None:
    """The body of the next message of a stream that blocks; None if the stream has ended."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None
