"""COPY: values come back as they went in, part by part and in their order."""

import threading
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from factories import Newsroom, statement_replaced
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from rerank_core.storage import copy

ODD = [
    "plain",
    "",
    None,
    'quote " and, comma',
    "line\nbreak\r\nand\ttab",
    "\\.",
    "before\n\\.\nafter",
    "\\N",
    "NULL",
    "null",
    "back\\slash\\n",
    "emoji 😀 中文 \u200d\u0301",
    " spaces ",
    '"',
    '""',
    "'; DROP TABLE x; --",
    "{a,b}",
    "%(x)s :y",
]


def test_every_kind_of_value_goes_in_and_out_unchanged(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = pa.schema(
        [
            ("n", pa.int64()),
            ("t", pa.string()),
            ("f", pa.float64()),
            ("b", pa.bool_()),
            ("d", pa.date32()),
            ("at", pa.timestamp("us", tz="UTC")),
        ]
    )
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    rows = [
        {
            "n": number,
            "t": value,
            "f": [0.1, -1e300, None][number % 3],
            "b": [True, False, None][number % 3],
            "d": [date(2026, 3, 1), None][number % 2],
            "at": [moment, None, moment.replace(microsecond=0)][number % 3],
        }
        for number, value in enumerate(ODD)
    ]
    data = pa.Table.from_pylist(rows, schema=schema)
    statement_replaced(monkeypatch, "all", "SELECT n, t, f, b, d, at FROM odd ORDER BY n")
    with room.database.transaction() as connection:
        connection.execute(
            text("CREATE TEMP TABLE odd (n bigint, t text, f float8, b boolean, d date, at timestamptz)")
        )
        assert copy.copy_in(connection, "odd", data) == len(ODD)
        inside = list(connection.execute(text("SELECT t FROM odd ORDER BY n")).scalars())
        assert inside == ODD
        assert copy.copy_out(connection, "all", schema).to_pylist() == rows


def test_bytes_go_in_as_they_are(room: Newsroom) -> None:
    values = [b"", b"\x00\xff\\x", None]
    with room.database.transaction() as connection:
        connection.execute(text("CREATE TEMP TABLE bits (n int, b bytea)"))
        copy.copy_in(connection, "bits", pa.table({"n": [0, 1, 2], "b": pa.array(values, pa.binary())}))
        found = connection.execute(text("SELECT b FROM bits ORDER BY n")).scalars()
        assert [None if value is None else bytes(value) for value in found] == values


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 10])
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_many_rows_go_in_part_by_part_in_their_order(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, rows: int, size: int
) -> None:
    monkeypatch.setattr(copy, "COPY_ROWS", 3)
    monkeypatch.setattr(copy, "COPY_BYTES", size)
    words = [f'"word" {number},\n新' for number in range(rows)]
    chunks = [words[:0], words[:2], words[2:]]
    data = pa.table({"t": pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks])})
    with room.database.transaction() as connection:
        connection.execute(
            text("CREATE TEMP TABLE many (n int GENERATED ALWAYS AS IDENTITY, t text) ON COMMIT DROP")
        )
        assert copy.copy_in(connection, "many", data) == rows
        assert list(connection.execute(text("SELECT t FROM many ORDER BY n")).scalars()) == words


def test_rows_that_the_server_refuses_leave_no_thread_behind(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "COPY_ROWS", 2)
    before = threading.active_count()
    with pytest.raises(IntegrityError), room.database.transaction() as connection:
        connection.execute(text("CREATE TEMP TABLE few (n int CHECK (n < 3))"))
        copy.copy_in(connection, "few", pa.table({"n": list(range(1_000))}))
    assert threading.active_count() == before


def test_no_rows_come_out_as_an_empty_table_of_the_schema(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_replaced(monkeypatch, "none", "SELECT 1 AS n WHERE false")
    schema = pa.schema([("n", pa.int64())])
    with room.database.transaction() as connection:
        assert copy.copy_out(connection, "none", schema).equals(schema.empty_table())


# A first chunk without rows, as a join of an empty and a full table has.
CHUNKED = pa.table(
    {"t": pa.chunked_array([pa.array([], pa.string()), pa.array(["one", "two"])]), "n": pa.array([1, 2])}
)


def test_an_empty_first_chunk_does_not_spoil_the_rows() -> None:
    assert copy.to_csv(CHUNKED) == b'"one",1\n"two",2\n'


def test_control_the_writer_alone_spoils_rows_after_an_empty_first_chunk() -> None:
    sink = pa.BufferOutputStream()
    pacsv.write_csv(CHUNKED, sink, pacsv.WriteOptions(include_header=False))
    assert sink.getvalue().to_pybytes() != b'"one",1\n"two",2\n'
