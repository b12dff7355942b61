"""Flags: what people and later stages may want to know about a text. A flag removes nothing.

stuffed   the text repeats phrases so often that it is written for a ranking, not for readers
pleads    the text addresses the model: it asks for an answer, cancels instructions or forges marks of the prompt
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from rerank_core.prepare import boilerplate
from rerank_core.prepare.patterns import Line, Rules, folded

PLEAS = boilerplate.RULES / "pleas.txt"
# A text is stuffed when all three hold:
STUFFED_TERMS = 40  # it has at least this many terms
STUFFED_PHRASE = 5  # phrases of three terms occur at least this often
STUFFED_SHARE = 0.2  # and such phrases make up at least this share of its terms

# A longer sentence is matched in parts, because the work of a pattern grows with the square of its length.
_SENTENCES = re.compile(r"[^.!?;。！？；\n]{1,400}")
_MARKS = re.compile(r"<\|\w+\|>|</?think>|<(?:Instruct|Query|Document)>\s*:", re.IGNORECASE)


def flags(text: str, *, terms: Sequence[str]) -> tuple[str, ...]:
    """The names of the flags of a cleaned text, in alphabetical order. `terms` are the text's BM25 terms."""
    checks = {"pleads": _pleads(text), "stuffed": _is_stuffed(terms)}
    return tuple(name for name, applies in checks.items() if applies)


def _pleads(text: str) -> bool:
    if _MARKS.search(text):
        return True
    pleas = _pleas().within(folded(text))
    return bool(pleas) and any(pleas.match(Line(sentence)) for sentence in _SENTENCES.findall(text))


@cache
def _pleas() -> Rules:
    return Rules(rule for _, rule in boilerplate.read(PLEAS, kinds=("pleas",)))


def _is_stuffed(terms: Sequence[str]) -> bool:
    if len(terms) < STUFFED_TERMS:
        return False
    phrases = Counter(zip(terms, terms[1:], terms[2:], strict=False))
    repeated = sum(times for times in phrases.values() if times >= STUFFED_PHRASE)
    return repeated >= STUFFED_SHARE * len(terms)
