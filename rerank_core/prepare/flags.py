"""What is noticed about a text and does not take it away: flags that people and later stages can look at.

stuffed   the text repeats some words so often that it was written for a ranking rather than for readers
pleads    the text addresses the model: it asks for an answer, cancels instructions or forges the prompt's marks
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from rerank_core.prepare import boilerplate

PLEAS = boilerplate.RULES / "pleas.txt"
STUFFED_TERMS = 40  # terms of a text that can be called stuffed
STUFFED_PHRASE = 5  # times that a phrase of three terms stands in it, at least
STUFFED_SHARE = 0.2  # of the terms, that belong to such phrases

_SENTENCES = re.compile(
    r"[^.!?;。！？；\n]{1,400}"
)  # a longer one in parts: a pattern's work grows with its square
_MARKS = re.compile(r"<\|\w+\|>|</?think>|<(?:Instruct|Query|Document)>\s*:", re.IGNORECASE)


def flags(text: str, *, terms: Sequence[str]) -> tuple[str, ...]:
    """The flags of a prepared text with these BM25 terms, in alphabetical order."""
    found = {"pleads": _pleads(text), "stuffed": _is_stuffed(terms)}
    return tuple(name for name, applies in found.items() if applies)


def _pleads(text: str) -> bool:
    if _MARKS.search(text):
        return True
    pleas = _pleas().within(boilerplate.folded(text))
    return bool(pleas) and any(
        pleas.match(boilerplate.folded(sentence)) for sentence in _SENTENCES.findall(text)
    )


@cache
def _pleas() -> boilerplate.Rules:
    return boilerplate.Rules(rule for _, rule in boilerplate.read(PLEAS, kinds=("pleas",)))


def _is_stuffed(terms: Sequence[str]) -> bool:
    if len(terms) < STUFFED_TERMS:
        return False
    phrases = Counter(zip(terms, terms[1:], terms[2:], strict=False))
    repeated = sum(times for times in phrases.values() if times >= STUFFED_PHRASE)
    return repeated >= STUFFED_SHARE * len(terms)
