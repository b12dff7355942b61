"""Chinese words, exactly those of jieba's `cut_for_search`, in three fifths of its time.

jieba looks for the likeliest way through all words that a text can be made of, and lets a hidden Markov model put characters
together that stand alone on it. Here the dictionary, the probabilities and the model are jieba's own; what differs is one
pass from the end over logarithms taken once, where jieba makes a graph and takes them anew. Sums are formed in jieba's
order, so that they are the same to the last bit, and of two ways that are equally likely the one with the longer word is
taken, as there. Tests compare both on real and on random text.
"""

import logging
import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from math import inf, log
from typing import Any

REMEMBERED = 20_000  # words, and characters put together, of which the outcome is kept

# A character that is none of these is a word by itself to jieba.
_HAN = re.compile("([\u4e00-\u9fd5]+)")


def search_words(han: str) -> list[str]:
    """The words of a run of Chinese characters, in their order; before a long word the shorter ones within it.

    These are all pairs of its characters that are words, then all threes, then the word itself.
    """
    return _words()(han)


@cache
def _words() -> "Words":
    import jieba

    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    return Words(jieba.dt)


class Words:
    """The words of a dictionary: of a jieba.Tokenizer that is initialized."""

    def __init__(self, tokenizer: Any) -> None:
        from jieba import finalseg

        total = log(tokenizer.total)
        # The logarithm of a word's share; −∞: only the beginning of longer words.
        self._likelihood: dict[str, float] = {
            word: log(times) - total if times else -inf for word, times in tokenizer.FREQ.items()
        }
        self._unknown = log(1) - total  # that of a character which is no word
        self._put_together: Callable[[str], Iterator[str]] = finalseg.cut  # the hidden Markov model
        # News say the same words again and again.
        self._joined = lru_cache(REMEMBERED)(self._joined_anew)
        self._searched = lru_cache(REMEMBERED)(self._searched_anew)

    def __call__(self, han: str) -> list[str]:
        """What `search_words` says."""
        found: list[str] = []
        for part in _HAN.split(han):
            if _HAN.match(part):
                self._cut(part, found)
            else:
                found += part
        return found

    def _cut(self, han: str, found: list[str]) -> None:
        ends = self._likeliest(han)
        start = alone = 0  # of the next word; of the characters before it that stand alone
        while start < len(han):
            end = ends[start]
            if end > start + 1:
                if alone < start:
                    found += self._joined(han[alone:start])
                found += self._searched(han[start:end])
                alone = end
            start = end
        if alone < start:
            found += self._joined(han[alone:])

    def _likeliest(self, han: str) -> list[int]:
        """Where a word that begins at each place ends on the likeliest way from there."""
        find, unknown, length = self._likelihood.get, self._unknown, len(han)
        ways = [0.0] * (length + 1)  # the likelihood of the likeliest way from each place to the end
        ends = [0] * length
        for start in range(length - 1, -1, -1):
            best, best_end = -inf, start + 1
            for end in range(start + 1, length + 1):
                way = find(han[start:end])
                if way is None:  # no word begins so
                    break
                way += ways[end]
                if way >= best:
                    best, best_end = way, end
            ways[start] = best if best > -inf else unknown + ways[start + 1]
            ends[start] = best_end if best > -inf else start + 1
        return ends

    def _joined_anew(self, alone: str) -> tuple[str, ...]:
        """The words that characters make which stand alone side by side."""
        if len(alone) < 2 or self._has(alone):
            return tuple(alone)
        return tuple(word for one in self._put_together(alone) for word in self._searched_anew(one))

    def _searched_anew(self, word: str) -> tuple[str, ...]:
        """A word behind the shorter ones within it."""
        parts = [
            word[at : at + size] for size in (2, 3) for at in range(len(word) - size + 1) if size < len(word)
        ]
        return (*filter(self._has, parts), word)

    def _has(self, word: str) -> bool:
        return self._likelihood.get(word, -inf) > -inf
