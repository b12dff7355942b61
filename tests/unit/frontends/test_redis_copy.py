"""What the page key of the copy in Redis may hold: a page of ours, or anything that somebody else wrote."""

import json
from typing import Any

import pytest

from rerank_core.frontends.redis_copy import read_copy

COPY = {"format": 1, "publication_id": 7, "topics": {"solar": {"state": "full", "ranked": 1}}}


def test_a_copy_of_ours_is_read() -> None:
    assert read_copy(json.dumps(COPY).encode()) == COPY


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        *(
            json.dumps({**COPY, **other}).encode()
            for other in ({"format": 2}, {"topics": 5}, {"topics": {"solar": 1}}, {"topics": {"solar": {}}})
        ),
        json.dumps({"format": 1, "topics": {}}).encode(),
    ],
)
def test_anything_else_is_no_copy(content: Any) -> None:
    assert read_copy(content) is None
