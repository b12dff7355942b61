"""Rows of the database as the oracle reads them, and lines of its logs."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Asker:
    """Rows of a statement, as dictionaries."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __call__(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return [dict(row) for row in cursor.fetchall()]

    def one(self, statement: str, *values: Any) -> dict[str, Any]:
        """The only row."""
        (row,) = self(statement, *values)
        return row


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """What was logged; nothing if there is no such log."""
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)


def real(number: float) -> float:
    """As a float32 holds it."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def plain(value: Any) -> Any:
    """A number as it is compared."""
    return round(real(value), 6) if isinstance(value, float) else value
