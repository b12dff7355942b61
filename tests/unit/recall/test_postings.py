"""The kept index of BM25: a segment says what its documents say, and comes back from its row as it was."""

import numpy as np
import pyarrow as pa
import pytest

from rerank_core.recall.postings import MOST, Segment


def made(*texts: str) -> Segment:
    """A segment of documents 1, 2, … with these terms."""
    return Segment.of(np.arange(1, len(texts) + 1), pa.array(texts, pa.string()))


def told(segment: Segment) -> dict[str, dict[int, int]]:
    """Term → {document: how often}."""
    return {
        row["term"]: dict(zip(row["documents"], row["counts"], strict=True))
        for row in segment.postings.to_pylist()
    }


def test_a_segment_says_how_often_each_document_has_each_term() -> None:
    segment = made("solar wind solar", "wind", "太阳 wind")
    assert told(segment) == {"solar": {0: 2}, "wind": {0: 1, 1: 1, 2: 1}, "太阳": {2: 1}}
    assert segment.lengths.tolist() == [3, 1, 2]


@pytest.mark.parametrize("texts", [("",), ("", "solar"), ("solar",) * 3, ("a b  c",)])
def test_a_segment_counts_lengths_as_a_split_by_spaces_does(texts: tuple[str, ...]) -> None:
    assert made(*texts).lengths.tolist() == [len(text.split(" ")) for text in texts]


def test_a_segment_comes_back_from_its_row() -> None:
    segment = made(*(f"w{number % 7} w{number % 3} w{number}" for number in range(200)))
    row = segment.stored()
    again = Segment.read(np.asarray(row["document_ids"]), row["lengths"], row["postings"])
    assert told(again) == told(segment)
    assert again.lengths.tolist() == segment.lengths.tolist()


def test_the_largest_segment_counts_its_last_document() -> None:
    segment = made(*["a"] * (MOST - 1), "b " * 19_999 + "b")
    assert told(segment)["b"] == {MOST - 1: 20_000}
