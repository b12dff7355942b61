"""Near-copies: which texts print one story. Pure functions.

    signature   a MinHash over shingles. The share of equal places estimates the Jaccard similarity of two texts:
                the share of their shingles that both have.
    marks       two similar texts whose marks contradict each other are two stories (marks.py)
    clusters    each text in turn joins the leader that it is most similar to, or leads a cluster of its own

A text is compared with leaders alone, so a chain of small changes cannot tie the first text to the last. Bands find
the leaders that are worth a comparison: a text and a leader must have one of 32 bands of four places in common.

| similarity | share of pairs without a common band |
|---|---|
| 0.8 | one in ten million |
| 0.5 | one in eight |

MinHash: A. Broder, "On the resemblance and containment of documents", 1997; by the library datasketch.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from rerank_core.prepare.marks import Marks
from rerank_core.prepare.terms import caseless

PLACES = 128  # of a signature; the standard error of the estimate is 0.035 at a similarity of 0.8
ROWS = 4  # places of a band
BANDS = PLACES // ROWS
LEAST_SHINGLES = 40  # shorter texts are similar by their form: appointments that differ in a name
CHARACTERS = 5  # of a shingle in Chinese, Japanese and Korean
WORDS = 3  # of a shingle in other languages
CROWD = (
    100  # leaders that a band remembers; without the limit, form letters would cost millions of comparisons
)

Signatures = npt.NDArray[np.uint32]  # one row a text, PLACES or BANDS columns
Indices = npt.NDArray[np.int64]

_CJK = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}])[^\W_])+")


def signature(text: str) -> npt.NDArray[np.uint32] | None:
    """The MinHash of a document's text: uint32, shape (PLACES,). None if it has fewer than LEAST_SHINGLES shingles."""
    hashes = _shingles(caseless(text))
    if len(hashes) < LEAST_SHINGLES:
        return None
    from datasketch import MinHash  # brings scipy and redis: only the stage that signs texts waits for them

    sketch = MinHash(num_perm=PLACES, hashfunc=_itself, permutations=_permutations(), scheme="affine32")
    sketch.update_batch(hashes.tolist())
    return np.asarray(sketch.hashvalues, dtype=np.uint32)


def _shingles(folded: str) -> npt.NDArray[np.uint32]:
    """The distinct shingles of a caseless text, each as a hash of 32 bits, ascending."""
    tokens = _TOKEN.findall(folded)
    ideographs = sum(len(token) == 1 and token >= "\u3040" for token in tokens)
    length = CHARACTERS if 2 * ideographs > len(tokens) else WORDS
    if len(tokens) < length:
        return np.zeros(0, dtype=np.uint32)
    hashed = np.fromiter(
        (zlib.crc32(token.encode("utf-8", "replace")) for token in tokens), dtype=np.uint64, count=len(tokens)
    )
    count = len(tokens) - length + 1
    mixed = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        mixed = _mixed(mixed, hashed[place : place + count])
    return np.unique((mixed >> np.uint64(32)).astype(np.uint32))


def _mixed(state: npt.NDArray[np.uint64], part: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The state of a hash after one more part; by Fibonacci hashing: the factor is 2**64 divided by the golden ratio."""
    state = (state ^ part) * np.uint64(0x9E3779B97F4A7C15)
    return state ^ (state >> np.uint64(29))


def _itself(value: int) -> int:
    return value


@cache
def _permutations() -> npt.NDArray[np.uint32]:
    from datasketch import MinHash

    return np.asarray(MinHash(num_perm=PLACES, scheme="affine32").permutations, dtype=np.uint32)


def bands(signatures: Signatures) -> Signatures:
    """A hash of each band: uint32, shape (texts, BANDS), from signatures of shape (texts, PLACES)."""
    parts = signatures.reshape(len(signatures), BANDS, ROWS).astype(np.uint64)
    mixed = np.zeros(parts.shape[:2], dtype=np.uint64)
    for row in range(ROWS):
        mixed = _mixed(mixed, parts[:, :, row])
    return (mixed >> np.uint64(32)).astype(np.uint32)


@dataclass(frozen=True)
class Texts:
    """Texts as columns, one entry a text, in the order of their turns."""

    signatures: Signatures  # shape (texts, PLACES)
    marks: Sequence[Marks]
    langs: Sequence[str]  # ISO 639-1
    hours: npt.NDArray[np.float64]  # time of first ingestion, in hours since any one moment

    def __len__(self) -> int:
        return len(self.marks)


@dataclass(frozen=True)
class Joined:
    """The cluster of each text, as columns of one entry a text."""

    leader: Indices  # position among leaders and texts, leaders first; its own position if the text leads
    similarity: npt.NDArray[np.float64]  # estimated, to its leader; 1 if the text leads
    vetoed: npt.NDArray[np.bool_]  # the text leads because its marks contradict those of a similar leader


def sharing_a_band(leader_bands: Signatures, text_bands: Signatures) -> npt.NDArray[np.bool_]:
    """Which leaders have a band in common with any of the texts: bool, shape (leaders,). Only they need a comparison."""
    sharing = np.zeros(len(leader_bands), dtype=bool)
    for band in range(BANDS):
        sharing |= np.isin(leader_bands[:, band], text_bands[:, band])
    return sharing


def join(leaders: Texts, texts: Texts, *, similarity: float, hours: float) -> Joined:
    """Let each text in turn join the leader that it is most similar to, or lead a cluster of its own.

    Both speak one language, were first ingested at most `hours` apart, are at least this similar (0..1), and have
    marks that do not contradict each other. Of two equally similar leaders the text joins the earlier one. Time is
    linear in the number of texts, because a band remembers at most CROWD leaders.
    """
    every = Texts(
        signatures=np.concatenate([leaders.signatures, texts.signatures]),
        marks=[*leaders.marks, *texts.marks],
        langs=[*leaders.langs, *texts.langs],
        hours=np.concatenate([leaders.hours, texts.hours]),
    )
    known = len(leaders)
    keys = bands(every.signatures).astype(np.int64) | (np.arange(BANDS, dtype=np.int64) << 32)
    buckets: dict[int, list[int]] = defaultdict(list)
    leader = np.arange(len(every), dtype=np.int64)
    shares = np.ones(len(every), dtype=np.float64)
    vetoed = np.zeros(len(every), dtype=bool)
    for position in range(len(every)):
        mine = keys[position].tolist()
        if position >= known:
            candidates = sorted({other for key in mine for other in buckets.get(key, ())[-CROWD:]})
            for other, share in _by_similarity(every, position, candidates, similarity, hours):
                if every.marks[position].contradict(every.marks[other]):
                    vetoed[position] = True
                    continue
                leader[position], shares[position], vetoed[position] = other, share, False
                break
        if leader[position] == position:
            for key in mine:
                buckets[key].append(position)
    return Joined(leader[known:], shares[known:], vetoed[known:])


def _by_similarity(
    every: Texts, position: int, candidates: Sequence[int], similarity: float, hours: float
) -> list[tuple[int, float]]:
    """The candidates that this text may join but for its marks, with their similarity, the most similar first."""
    if not candidates:
        return []
    others = np.asarray(candidates, dtype=np.int64)
    shares = (every.signatures[others] == every.signatures[position]).mean(axis=1)
    near = np.abs(every.hours[others] - every.hours[position]) <= hours
    similar = [
        (int(other), float(share))
        for other, share, is_near in zip(others, shares, near, strict=True)
        if is_near and share >= similarity and every.langs[other] == every.langs[position]
    ]
    return sorted(similar, key=lambda pair: -pair[1])
