"""Scores are found by query and document, whatever their order and however many are missing."""

from collections.abc import Sequence

import numpy as np
import pytest

from rerank_core.storage.ledger import Lookup


def lookup(*pairs: tuple[int, int]) -> Lookup:
    """One score a (query, document): the logit is 100 × query + document."""
    queries, documents = (np.asarray([pair[at] for pair in pairs], dtype=np.int64) for at in (0, 1))
    return Lookup(queries, documents, (100 * queries + documents).astype(np.float32), documents == 3)


def positions(of: Lookup, *pairs: Sequence[int]) -> list[int]:
    return of.positions(
        np.asarray([query for query, _ in pairs], dtype=np.int64),
        np.asarray([document for _, document in pairs], dtype=np.int64),
    ).tolist()


def test_each_pair_finds_its_own_score() -> None:
    found = lookup((7, 3), (2, 9), (7, 1), (2, 1))
    for query, document in [(2, 1), (2, 9), (7, 1), (7, 3)]:
        (place,) = positions(found, (query, document))
        assert found.logit[place] == 100 * query + document
        assert found.truncated[place] == (document == 3)


@pytest.mark.parametrize("pair", [(1, 1), (3, 1), (9, 9), (2, 0), (2, 2), (7, 9), (7, 10**12 - 1)])
def test_a_pair_without_a_score_is_not_mistaken_for_a_neighbour(pair: tuple[int, int]) -> None:
    assert positions(lookup((7, 3), (2, 9), (7, 1), (2, 1)), pair) == [-1]


def test_large_ids_do_not_run_into_one_another() -> None:
    found = lookup((10**12, 2**39), (10**12 + 1, 1))
    assert positions(found, (10**12, 2**39), (10**12 + 1, 2**39), (10**12, 1)) == [0, -1, -1]


def test_an_empty_ledger_has_nothing_and_breaks_nothing() -> None:
    found = lookup()
    assert positions(found, (1, 1), (2, 2)) == [-1, -1]
    assert positions(found) == []
