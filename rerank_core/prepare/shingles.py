"""Shingles: runs of neighbouring words, by which texts are compared. Pure functions.

A shingle is three words, or five characters if most of the text is Chinese, Japanese, Korean, Thai, Lao, Khmer or
Burmese. A word keeps its combining marks. Case, width, punctuation and spaces make no difference, and neither do
traditional and simplified Chinese characters.
"""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import regex

from rerank_core.prepare.terms import HAN, HANGUL, KANA, UNSPACED, folded, simplified

CHARACTERS = 5  # of a shingle in scripts that put no spaces between words, and in Korean
WORDS = 3  # of a shingle in other scripts
GROWTH = 2  # times that a text may grow when it is made comparable

Hashes = npt.NDArray[np.uint32]

_SIGNS = f"{HAN}{KANA}{HANGUL}{UNSPACED}"
_LETTER = rf"[[\p{{L}}\p{{N}}]--[{_SIGNS}]]"
_TOKEN = regex.compile(
    rf"[[{_SIGNS}]&&[\p{{L}}\p{{N}}]]\p{{M}}*+"
    rf"|{_LETTER}[[\p{{L}}\p{{M}}\p{{N}}\u200c\u200d]--[{_SIGNS}]]*+(?:(?<=[nN])['’][tT](?!\p{{L}}))?",
    regex.VERSION1,
)
_ASCII_TOKEN = re.compile(
    r"[A-Za-z0-9]+(?:(?<=[nN])'[tT]\b)?"
)  # the same for a text in ASCII, in a quarter of the time
_SIGN = regex.compile(f"[{_SIGNS}]", regex.VERSION1)


def comparable(text: str, *, lang: str) -> str:
    """The text in NFKC and in one Chinese script. It keeps its case.

    NFKC makes up to 18 characters of one. What makes a text longer than GROWTH times is cut off.
    """
    return one_script(unicodedata.normalize("NFKC", text)[: GROWTH * len(text)], lang=lang)


def one_script(text: str, *, lang: str) -> str:
    """The text in simplified characters; unchanged if it is Japanese."""
    return (
        text if lang == "ja" else simplified(text).replace("著", "着")
    )  # both are simplified, one is of Taiwan


def words(text: str) -> list[str]:
    """The words of a comparable text. In scripts without spaces, a word is a character."""
    return list((_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text))


def places(text: str) -> list[tuple[str, int]]:
    """The words of a comparable text, each with its place in the text."""
    pattern = _ASCII_TOKEN if text.isascii() else _TOKEN
    return [(match.group(), match.start()) for match in pattern.finditer(text)]


def fold(words: Sequence[str]) -> list[str]:
    """The words in the form in which they are compared, in their order."""
    joined = folded(" ".join(words)).split(" ")
    return joined if len(joined) == len(words) else [folded(word).replace(" ", "") for word in words]


def is_sign(word: str) -> bool:
    """Whether the word is one character of a script that is compared by characters."""
    return _is_sign(word[:1])


@lru_cache(maxsize=20_000)
def _is_sign(character: str) -> bool:
    return bool(_SIGN.match(character))


def length_of(words: Sequence[str]) -> int:
    """The words of a shingle of this text."""
    signs = set(filter(is_sign, set(words)))
    return CHARACTERS if 2 * sum(map(signs.__contains__, words)) > len(words) else WORDS


def shingles(words: Sequence[str], length: int) -> Hashes:
    """A hash of 32 bits for the shingle of this many words that begins at each word, as long as one fits."""
    count = len(words) - length + 1
    if count < 1:
        return np.zeros(0, dtype=np.uint32)
    hashed = np.fromiter(map(_hash, words), dtype=np.uint64, count=len(words))
    mixed = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        mixed = mix(mixed, hashed[place : place + count])
    return (mixed >> np.uint64(32)).astype(np.uint32)


@lru_cache(maxsize=50_000)
def _hash(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace"))


def mix(state: npt.NDArray[np.uint64], part: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The state of a hash after one more part; by Fibonacci hashing: the factor is 2**64 divided by the golden ratio."""
    state = (state ^ part) * np.uint64(0x9E3779B97F4A7C15)
    return state ^ (state >> np.uint64(29))
