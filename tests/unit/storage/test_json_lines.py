"""The lines of a file are told apart without holding any of them, and each bad line has a reason of its own."""

import gzip
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_core.storage import json_lines
from rerank_core.storage.json_lines import RawLine, read_lines, read_object


def read(content: bytes, *, longest: int = 100) -> list[RawLine]:
    return list(read_lines(io.BufferedReader(io.BytesIO(content)), longest=longest))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_a_line_ends_at_a_line_feed_and_a_byte_order_mark_is_no_part_of_the_first(pack) -> None:
    lines = read(pack(b"\xef\xbb\xbf{}\n\n\xef\xbb\xbf{}"))
    assert lines == [RawLine(1, b"{}\n"), RawLine(2, b"\n"), RawLine(3, b"\xef\xbb\xbf{}")]


@pytest.mark.parametrize(("longest", "size"), [(64 << 10, "64 KiB"), (1 << 20, "1 MB")])
def test_a_line_that_is_too_long_is_named_with_the_limit(longest: int, size: str) -> None:
    long, good = read(b"x" * (longest + 1) + b"\n{}", longest=longest)
    assert long == RawLine(1, reason=f"longer than {size}; is this a file of JSON lines?")
    assert good == RawLine(2, b"{}")
    assert [line.reason for line in read(b"x" * longest, longest=longest)] == [None]


def test_a_damaged_file_gives_one_last_line_that_breaks_off() -> None:
    *_, last = read(gzip.compress(b"{}\n") + b"garbage")
    assert (last.number, last.breaks_off) == (2, True)
    assert str(last.reason).startswith("the file breaks off or is damaged here (")


def bomb(size: int) -> bytes:
    """A small gzipped file that unpacks to so many bytes."""
    return gzip.compress(bytes(size), 9)


def test_a_gzipped_file_that_unpacks_to_hundreds_of_times_its_size_is_not_read_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json_lines, "UNPACKED", 1 << 20)
    packed = bomb(50 << 20)
    source = io.BytesIO(gzip.compress(b"{}\n") + packed)
    good, last = read_lines(io.BufferedReader(source), longest=1000)
    assert (good.raw, last.breaks_off) == (b"{}\n", True)
    assert "it unpacks to more than 100 times its size" in str(last.reason)
    assert source.tell() < len(packed)  # the rest was not even read


def test_control_without_the_bound_all_of_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "UNPACKED", 1 << 40)
    assert [line.breaks_off for line in read(bomb(50 << 20))] == [False]


def test_a_file_that_packs_well_is_read_to_its_end() -> None:
    line = b'{"id": "a", "body": "' + b"the same words " * 60 + b'"}\n'
    lines = read(gzip.compress(line * 20_000, 9), longest=2000)
    assert (len(lines), {line.reason for line in lines}) == (20_000, {None})


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_a_reason(content: bytes) -> None:
    for line in read(content):
        with suppress(ValueError):
            assert isinstance(read_object(line.raw), dict)
