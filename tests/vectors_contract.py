"""What every store of vectors does; subclassed by the tests of each, which bring the fixture `vectors`."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

DIMENSIONS = 32
DOCUMENTS = 3_000
STATED_RECALL = 0.95  # of HNSW with the stores' settings, on random vectors: the hardest case


def unit_vectors(count: int, *, seed: int = 0, dimensions: int = DIMENSIONS) -> npt.NDArray[np.float16]:
    """Random vectors of length 1."""
    found = np.random.default_rng(seed).standard_normal((count, dimensions))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float16)


def brute_force(
    query: npt.NDArray[np.float16], ids: Any, matrix: npt.NDArray[np.float16], limit: int
) -> list[int]:
    """Ids of the nearest, nearest first."""
    likeness = matrix.astype(np.float32) @ query.astype(np.float32)
    return [int(ids[place]) for place in np.argsort(-likeness, kind="stable")[:limit]]


class VectorsContract:
    """Needs the fixtures `vectors`, an empty store of 32 dimensions, and `ids`, ids of documents that are there."""

    @pytest.fixture
    def full(self, vectors: Any, ids: Any) -> tuple[Any, Any, npt.NDArray[np.float16]]:
        matrix = unit_vectors(len(ids))
        vectors.add(ids, matrix)
        return vectors, ids, matrix

    def test_what_has_no_vector_is_missing(self, vectors: Any, ids: Any) -> None:
        assert vectors.missing(ids[:5]).tolist() == ids[:5].tolist()
        vectors.add(ids[1:3], unit_vectors(2))
        assert vectors.missing(ids[:5]).tolist() == [ids[0], ids[3], ids[4]]
        assert vectors.missing(ids[:0]).tolist() == []

    def test_vectors_come_back_by_id_in_half_precision(self, vectors: Any, ids: Any) -> None:
        matrix = unit_vectors(3)
        vectors.add(ids[[2, 0, 1]], matrix)
        found, read = vectors.read(ids[[1, 0, 2, 3]])
        assert found.tolist() == ids[:3].tolist()
        assert read.dtype == np.float16
        assert np.array_equal(read, matrix[[1, 2, 0]])

    def test_the_nearest_of_all_are_those_of_brute_force(self, full: Any) -> None:
        vectors, ids, matrix = full
        self.check(vectors, ids, matrix, limit=50)

    @pytest.mark.parametrize("share", [0.5, 0.05, 0.01])
    def test_the_nearest_of_a_window_are_those_of_brute_force_within_it(
        self, full: Any, share: float
    ) -> None:
        vectors, ids, matrix = full
        inside = np.random.default_rng(1).random(len(ids)) < share
        self.check(vectors, ids[inside], matrix[inside], limit=50)

    def check(self, vectors: Any, ids: Any, matrix: Any, *, limit: int) -> None:
        hits = total = 0
        for query in unit_vectors(10, seed=2):
            found, likeness = vectors.nearest(query, ids, limit)
            expected = brute_force(query, ids, matrix, limit)
            assert len(set(found.tolist())) == len(found) == len(expected)
            assert set(found.tolist()) <= set(ids.tolist())
            assert np.all(np.diff(likeness) <= 1e-6)
            places = np.searchsorted(ids, found)
            cosine = matrix[places].astype(np.float32) @ query.astype(np.float32)
            np.testing.assert_allclose(likeness, cosine, atol=2e-3)
            hits += len(set(found.tolist()) & set(expected))
            total += len(expected)
        assert hits / total >= STATED_RECALL

    def test_fewer_than_asked_for_are_all_of_them(self, full: Any) -> None:
        vectors, ids, matrix = full
        query = unit_vectors(1, seed=3)[0]
        found, _ = vectors.nearest(query, ids[:7], 50)
        assert found.tolist() == brute_force(query, ids[:7], matrix[:7], 50)

    def test_a_wanted_document_without_a_vector_is_not_found(self, vectors: Any, ids: Any) -> None:
        vectors.add(ids[:2], unit_vectors(2))
        found, _ = vectors.nearest(unit_vectors(1, seed=3)[0], ids[:5], 5)
        assert sorted(found.tolist()) == ids[:2].tolist()
