"""COPY: Arrow tables into Postgres and out of it, by column name."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from sqlalchemy import Connection

from rerank_core.errors import CorruptError
from rerank_core.storage import database as db
from rerank_core.storage.database import driver_cursor

COPY_ROWS = 20_000  # that are written as CSV at a time
_BINARY_HEAD = 19  # bytes before the first row of COPY's binary form
COPY_BYTES = 1 << 16  # that the driver sends at a time


def to_csv(data: pa.Table) -> bytes:
    """The rows as CSV without a header.

    Null is nothing, an empty string is "", a list of texts is an array of Postgres.

    The chunks are joined first: pyarrow 26 writes garbage if a column's first chunk is empty.
    """
    buffer = io.BytesIO()
    joined = data.combine_chunks()
    for place, field in enumerate(joined.schema):
        if pa.types.is_list(field.type):
            joined = joined.set_column(place, field.name, _as_array(joined.column(place)))
    pacsv.write_csv(joined, buffer, pacsv.WriteOptions(include_header=False))
    return buffer.getvalue()


def copy_in(connection: Connection, table: str, data: pa.Table) -> int:
    """COPY an Arrow table into `table`, by column name. Returns the number of rows.

    Binary columns are written as bytea hex. Nulls stay null and empty strings stay empty. The rows are written as CSV
    part by part, while the server waits: to write them ahead would take a second core from readers.
    """
    rows = pa.table({name: _as_text(data.column(name)) for name in data.column_names})
    names = ", ".join(f'"{name}"' for name in data.column_names)
    parts = (to_csv(rows.slice(start, COPY_ROWS)) for start in range(0, rows.num_rows, COPY_ROWS))
    with driver_cursor(connection) as cursor:
        # In no file of queries: table and columns are given.
        cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN WITH (FORMAT csv)", _Parts(parts), COPY_BYTES)
    return int(data.num_rows)


class _Parts:
    """Parts as a file that the driver reads."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._part = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At most `size` bytes of the current part; no bytes at the end."""
        if not self._part:
            self._part = memoryview(next(self._parts, b""))
        taken, self._part = self._part[:size], self._part[size:]
        return bytes(taken)


def copy_out(
    connection: Connection,
    name: str,
    schema: pa.Schema,
    relations: tuple[tuple[str, str], ...] = (),
    **values: Any,
) -> pa.Table:
    """COPY the rows of a named SELECT out as an Arrow table of this schema (no binary columns).

    A list of texts is read from a column that holds it as JSON.
    """
    plain = pa.schema(
        [field.with_type(pa.string()) if pa.types.is_list(field.type) else field for field in schema]
    )
    buffer = io.BytesIO()
    compiled = str(db.statement(name, relations).compile(dialect=connection.dialect))
    with driver_cursor(connection) as cursor:
        query = cursor.mogrify(compiled, values).decode()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *)", buffer)
    buffer.seek(0)
    if not buffer.getbuffer().nbytes:
        return schema.empty_table()
    try:
        found = _read_csv(buffer, plain)
    except pa.ArrowInvalid:  # its message shows a row
        raise CorruptError(
            f"the rows of statement {name} are not of the types {', '.join(map(str, schema.types))}; `rerank doctor` checks"
            " the schema"
        ) from None
    for place, field in enumerate(schema):
        if pa.types.is_list(field.type):
            lists = [None if text is None else json.loads(text) for text in found.column(place).to_pylist()]
            found = found.set_column(place, field.name, pa.array(lists, field.type))
    return found.cast(schema)


def copy_bytes(connection: Connection, name: str, **values: Any) -> list[tuple[bytes | None, ...]]:
    """COPY the rows of a named SELECT out in the server's own form: each value as its bytes, null as None.

    It is for few rows that hold much: numbers that the server has put side by side, in network order.
    """
    parts: list[bytes] = []
    compiled = str(db.statement(name).compile(dialect=connection.dialect))
    with driver_cursor(connection) as cursor:
        query = cursor.mogrify(compiled, values).decode()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT WITH (FORMAT binary)", _Taken(parts))
    content, at = b"".join(parts), _BINARY_HEAD
    found: list[tuple[bytes | None, ...]] = []
    while (columns := int.from_bytes(content[at : at + 2], signed=True)) > 0:
        row: list[bytes | None] = []
        at += 2
        for _ in range(columns):
            length, at = int.from_bytes(content[at : at + 4], signed=True), at + 4
            row.append(None if length < 0 else content[at : at + length])
            at += max(0, length)
        found.append(tuple(row))
    return found


class _Taken:
    """A file that the driver writes."""

    def __init__(self, parts: list[bytes]) -> None:
        self.write = parts.append


def _read_csv(buffer: io.BytesIO, schema: pa.Schema) -> pa.Table:
    return pacsv.read_csv(
        buffer,
        pacsv.ReadOptions(column_names=schema.names, block_size=64 << 20),
        pacsv.ParseOptions(newlines_in_values=True),
        pacsv.ConvertOptions(
            column_types=schema,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        values = [None if value is None else "\\x" + value.hex() for value in column.to_pylist()]
        return pa.chunked_array([pa.array(values, pa.string())])
    return _as_array(column) if pa.types.is_list(column.type) else column


def _as_array(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of texts as Postgres writes its arrays: {"one","two"}."""
    chunks = []
    for lists in column.chunks:
        quoted = pc.replace_substring(lists.values, "\\", "\\\\")
        quoted = pc.replace_substring(quoted, '"', '\\"')
        quoted = pc.binary_join_element_wise('"', quoted, '"', "")
        rows = pa.ListArray.from_arrays(lists.offsets, quoted)
        chunks.append(pc.binary_join_element_wise("{", pc.binary_join(rows, ","), "}", ""))
    return pa.chunked_array(chunks, pa.string())
