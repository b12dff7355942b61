"""Of invented stories in ten languages, those that differ in names alone stay apart, and reprints are found."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from benchmarks.invented import LANGUAGES, Pair, reprints, two_stories

from rerank_core.prepare import near_copies
from rerank_core.prepare.near_copies import Texts, join, signature

NOTHING = Texts(np.zeros((0, near_copies.PLACES), dtype=np.uint32), [], [], np.zeros(0), np.zeros(0))


def is_merged(pair: Pair) -> bool:
    """Whether the second article joins the first."""
    texts = [str(pair.one), str(pair.other)]
    signatures = [signature(text, lang=pair.one.lang) for text in texts]
    assert all(one is not None for one in signatures), f"too short: {texts}"
    both = Texts(np.asarray(signatures), texts, [pair.one.lang] * 2, np.zeros(2), np.full(2, np.nan))
    return join(NOTHING, both, similarity=0.7, hours=72).joined.tolist() == [0, 0]


def merged(pairs: Iterable[Pair]) -> tuple[Counter[str], Counter[str]]:
    """By kind: the pairs that merge, and all pairs."""
    found, every = Counter[str](), Counter[str]()
    for pair in pairs:
        every[pair.kind] += 1
        found[pair.kind] += is_merged(pair)
    return found, every


@pytest.mark.parametrize("lang", LANGUAGES)
def test_stories_that_differ_in_names_alone_stay_apart(lang: str) -> None:
    found, every = merged(two_stories(lang, rounds=2, seed=3))
    assert every.total() >= 6
    assert found.total() <= 0.02 * every.total(), found


@pytest.mark.parametrize("lang", LANGUAGES)
def test_reprints_are_found(lang: str) -> None:
    found, every = merged(reprints(lang, rounds=1, seed=3))
    for cut in ("cut to two thirds", "traditional, cut to two thirds"):
        assert found.pop(cut, 0) >= 0.85 * every.pop(cut, 0)
    found.pop("in the words of Taiwan", 0), every.pop("in the words of Taiwan", 0)
    assert found.total() >= 0.95 * every.total(), every - found


def test_control_without_a_veto_stories_that_differ_in_names_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_copies, "veto", lambda one, other: None)
    found, every = merged(two_stories("en", rounds=2, seed=3))
    assert found.total() > 0.9 * every.total()
