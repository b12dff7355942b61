"""JSON as the files of a page have it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def to_json(content: Mapping[str, Any]) -> bytes:
    """The content as JSON in UTF-8; times in ISO 8601, in UTC.

    No sign in it can end a script element or a line of JavaScript. Raises ValueError for a number that
    JSON cannot hold.
    """
    return to_text(content).encode("utf-8")


def to_text(content: Mapping[str, Any]) -> str:
    """What `to_json` encodes."""
    text = _ENCODER.encode(content)
    for sign in "<>&\u2028\u2029":
        if sign in text:
            text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
