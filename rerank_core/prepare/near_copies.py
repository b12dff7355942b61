"""Near-copies: which texts print one story. Pure functions.

    signature   a MinHash over shingles. The share of equal places estimates the similarity of two texts.
    bands       find the leaders that are worth a comparison: a text and a leader must have one of 32 bands in common
    story       two texts that may be near-copies are compared word by word (story.py, veto.py)
    clusters    each text in turn joins the leader that it is most similar to, or leads a cluster of its own

A text is compared with leaders and corrections alone, so a chain of small changes cannot tie the first text to the last.

| similarity | share of pairs without a common band |
|---|---|
| 0.8 | one in ten million |
| 0.67, a text and its first two thirds | one in 1,400 |
| 0.5 | one in eight |

MinHash: A. Broder, "On the resemblance and containment of documents", 1997. The permutations are those of the
library datasketch (`affine32`), which imports more than all of prepare does.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from rerank_core.prepare import shingles
from rerank_core.prepare.story import Story
from rerank_core.prepare.terms import folded
from rerank_core.prepare.veto import veto

PLACES = 128  # of a signature; the standard error of the estimate is 0.035 at a similarity of 0.8
AT_ONCE = 4096  # hashes that are permuted in one step: 2 MiB
ROWS = 4  # places of a band
BANDS = PLACES // ROWS
LEAST_SHINGLES = 40  # shorter texts are similar by their form: appointments that differ in a name

# A text that was cut is a near-copy at a lower similarity, when both hold:
CONTAINED = 0.9  # the longer text has at least this share of the shorter text's shingles
CUT = 0.55  # and the shorter text has at least this share of the longer text's length, from its beginning

ROUGHLY = 0.35  # estimated similarity below which two texts are not compared word by word
CORRECTED = 0.8  # least similarity of a correction and the text that it contradicts

# Without these limits, form letters would cost millions of comparisons.
CROWD = 100  # leaders that a band remembers
COMPARED = 30  # leaders that a text is compared with word by word, the most similar first
STORIES = 500  # that are remembered: 50 kB each, 1 MB if the text is of the greatest length

Signatures = npt.NDArray[np.uint32]  # one row a text, PLACES or BANDS columns
Indices = npt.NDArray[np.int64]


def signature(text: str, *, lang: str) -> npt.NDArray[np.uint32] | None:
    """The MinHash of a document's text: uint32, shape (PLACES,). None if it has fewer than LEAST_SHINGLES shingles."""
    words = shingles.words(shingles.one_script(folded(text), lang=lang))
    hashes = np.unique(shingles.shingles(words, shingles.length_of(words)))
    if len(hashes) < LEAST_SHINGLES:
        return None
    hashes = _finished(hashes.astype(np.uint32))
    factors, terms = _permutations()
    parts = range(0, len(hashes), AT_ONCE)
    least = [(factors * hashes[start : start + AT_ONCE] + terms).min(axis=1) for start in parts]
    return np.asarray(np.min(least, axis=0), dtype=np.uint32)


def _finished(hashes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The last step of MurmurHash3, which spreads hashes that lie near to each other."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


@cache
def _permutations() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """For each place a factor and a term, both of shape (PLACES, 1): h → factor · h + term (mod 2³²) permutes 32-bit numbers.

    A factor is odd, so no two hashes become equal. The numbers are random once and for all.
    """
    random = np.random.RandomState(1)  # its stream is frozen: https://numpy.org/neps/nep-0019-rng-policy.html
    factors = random.randint(0, 1 << 31, PLACES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    terms = random.randint(0, 1 << 32, PLACES, dtype=np.uint32)
    return factors[:, None], terms[:, None]


def bands(signatures: Signatures) -> Signatures:
    """A hash of each band: uint32, shape (texts, BANDS), from signatures of shape (texts, PLACES)."""
    parts = signatures.reshape(len(signatures), BANDS, ROWS).astype(np.uint64)
    mixed = np.zeros(parts.shape[:2], dtype=np.uint64)
    for row in range(ROWS):
        mixed = shingles.mix(mixed, parts[:, :, row])
    return (mixed >> np.uint64(32)).astype(np.uint32)


@dataclass(frozen=True)
class Texts:
    """Texts as columns, one entry a text, in the order of their turns."""

    signatures: Signatures  # shape (texts, PLACES)
    texts: Sequence[str]  # "" for a text that shares no band with another
    langs: Sequence[str]  # ISO 639-1
    ingested: npt.NDArray[np.float64]  # time of first ingestion, in hours since any one moment
    published: npt.NDArray[np.float64]  # likewise; NaN: not known

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Joined:
    """What each text joined, as columns of one entry a text."""

    # Position of the leader or correction that it joined, among leaders and texts, leaders first; its own: it leads.
    # A correction may have joined a leader itself: then the text is in that leader's cluster.
    joined: Indices
    similarity: npt.NDArray[np.float64]  # to what it joined; 1 if the text leads
    vetoed: npt.NDArray[np.bool_]  # the text leads because it tells another story than a similar leader


def in_reach(
    leader_bands: Signatures, text_bands: Signatures
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which leaders share a band with a text, and which texts share one with a leader or another text: bool, one entry each."""
    leaders, texts = np.zeros(len(leader_bands), dtype=bool), np.zeros(len(text_bands), dtype=bool)
    for band in range(BANDS):
        known, new = leader_bands[:, band], text_bands[:, band]
        leaders |= np.isin(known, new)
        _, place, count = np.unique(new, return_inverse=True, return_counts=True)
        texts |= np.isin(new, known) | (count[place] > 1)
    return leaders, texts


def join(leaders: Texts, texts: Texts, *, similarity: float, hours: float) -> Joined:
    """Let each text in turn join the leader that it is most similar to, or lead a cluster of its own.

    `leaders` are the leaders of clusters, and corrections that joined one. Both texts speak one language, were first
    ingested at most `hours` apart, and were published at most `hours` apart if both have a time of publication. They are
    at least this similar (0..1), or one was cut from the other. And they tell one story, or one of them corrects the
    other. Of two equally similar leaders the text joins the earlier one. Time is linear in the number of texts.
    """
    every = Texts(
        signatures=np.concatenate([leaders.signatures, texts.signatures]),
        texts=[*leaders.texts, *texts.texts],
        langs=[*leaders.langs, *texts.langs],
        ingested=np.concatenate([leaders.ingested, texts.ingested]),
        published=np.concatenate([leaders.published, texts.published]),
    )
    comparison = _Comparison(every, similarity, hours)
    known = len(leaders)
    keys = bands(every.signatures).astype(np.int64) | (np.arange(BANDS, dtype=np.int64) << 32)
    buckets: dict[int, list[int]] = defaultdict(list)
    joined = np.arange(len(every), dtype=np.int64)
    shares = np.ones(len(every), dtype=np.float64)
    vetoed = np.zeros(len(every), dtype=bool)
    for position in range(len(every)):
        mine = keys[position].tolist()
        if position >= known:
            candidates = sorted({other for key in mine for other in buckets.get(key, ())[-CROWD:]})
            joined[position], shares[position], vetoed[position] = comparison.best(position, candidates)
        if joined[position] == position or comparison.story(position).corrects:
            for key in mine:
                buckets[key].append(position)
    return Joined(joined[known:], shares[known:], vetoed[known:])


class _Comparison:
    """Texts that are compared with one another, two at a time."""

    def __init__(self, every: Texts, similarity: float, hours: float) -> None:
        self._every, self._similarity, self._hours = every, similarity, hours
        self.story = lru_cache(STORIES)(self._read)

    def _read(self, position: int) -> Story:
        return Story(self._every.texts[position], lang=self._every.langs[position])

    def best(self, position: int, candidates: Sequence[int]) -> tuple[int, float, bool]:
        """What a text joins, how similar both are, and whether a veto made the text lead."""
        correction = None
        vetoed = False
        for other, share in self._near(position, candidates):
            one, two = self.story(position), self.story(other)
            if veto(one, two) is None:
                return other, share, False
            vetoed = True
            if correction is None and one.corrects != two.corrects and share >= CORRECTED:
                correction = other, share
        return (*correction, False) if correction else (position, 1.0, vetoed)

    def _near(self, position: int, candidates: Sequence[int]) -> Iterator[tuple[int, float]]:
        """The candidates that this text may join if they tell one story, with their similarity, the most similar first."""
        if not candidates:
            return
        every, others = self._every, np.asarray(candidates, dtype=np.int64)
        roughly = (every.signatures[others] == every.signatures[position]).mean(axis=1)
        is_possible = roughly >= ROUGHLY
        for times in (every.ingested, every.published):
            is_possible &= ~(np.abs(times[others] - times[position]) > self._hours)  # a time may be unknown
        order = np.argsort(-roughly, kind="stable")
        possible = [
            other
            for other in others[order][is_possible[order]].tolist()
            if every.langs[other] == every.langs[position]
        ]
        near = [
            (other, share)
            for other in possible[:COMPARED]
            if (share := self._similar(self.story(position), self.story(other))) is not None
        ]
        yield from sorted(near, key=lambda pair: (-pair[1], pair[0]))

    def _similar(self, one: Story, other: Story) -> float | None:
        """How similar two texts are; None if they are not near-copies whatever they tell."""
        share = one.similarity(other)
        contained = max(CONTAINED, self._similarity)
        is_near = share >= self._similarity or one.is_cut(other, length=CUT, contained=contained)
        return share if is_near else None
