"""Raw article → document: title, summary and body are cleaned and put together, then described.

The order is title, summary, body, one empty line between. The title has at most 300 characters, the summary
2,000 and the whole 20,000, far beyond what the model reads of it. A summary or title that the body begins with
is not said twice. Language, BM25 terms, flags and the signature that near-copies are found by are those of the whole text.
"""

import hashlib
import re
from collections import Counter

from rerank_core.prepare.cleaning import STEPS, Cleaning, Tally, clean
from rerank_core.prepare.flags import flags
from rerank_core.prepare.language import Language, language
from rerank_core.prepare.marks import marks
from rerank_core.prepare.near_copies import signature
from rerank_core.prepare.terms import terms
from rerank_core.records import Document

MAX_TITLE = 300  # characters
MAX_SUMMARY = 2_000
MAX_TEXT = 20_000
MAX_GARBAGE = 0.3  # of a text's characters; more of it cannot be read by anyone

# What is left of text whose encoding was lost: replacement characters, runs of question marks, misread ones.
_GARBAGE = re.compile("[\ufffd\u25a1]|\\?{3,}|锟斤拷|烫烫烫|ï¿½")
TITLE_STEPS = tuple(name for name in STEPS if name != "boilerplate")  # a title advertises nothing else


class Unpreparable(Exception):
    """The article has no text that could be ranked; its message is the reason."""


def to_document(
    *,
    title: str | None,
    summary: str | None,
    body: str | None,
    lang: str | None,
    cleaning: Cleaning = Cleaning(),  # noqa: B008 - it is frozen
    counts: Counter[str] | None = None,
) -> Document:
    """The document that the model and BM25 read. `counts`, where given, is added to: what each step did.

    Raises Unpreparable where no text is left, or none that could be read.
    """
    tally = Tally()
    clean_title = clean(title, cleaning=cleaning, tally=tally, steps=TITLE_STEPS).replace("\n", " ")
    clean_title = _cut(clean_title, MAX_TITLE)
    clean_summary = _cut(clean(summary, cleaning=cleaning, tally=tally), MAX_SUMMARY)
    clean_body = clean(body, cleaning=cleaning, tally=tally)
    text = assembled(clean_title, clean_summary, clean_body)
    _refuse_unreadable(text)
    found = _language(text, lang, cleaning)
    words = list(terms(text, lang=found.code))
    noticed = () if "flags" in cleaning.without else flags(text, terms=words)
    sketch = None if "syndication" in cleaning.without else signature(text)
    if counts is not None:
        counts.update(f"{step}_changed" for step in tally.changed)
        counts["boilerplate_lines"] += tally.lines_removed
        counts["language_overruled"] += found.overruled
        counts[f"lang_{found.code}"] += 1
        counts.update(f"flag_{flag}" for flag in noticed)
        counts["signature_short"] += sketch is None and "syndication" not in cleaning.without
    return Document(
        digest=hashlib.sha256(text.encode("utf-8")).digest(),
        title=clean_title or _cut(text.split("\n", 1)[0], MAX_TITLE),
        text=text,
        lang=found.code,
        terms=" ".join(words),
        lang_confidence=found.confidence,
        flags=noticed,
        signature=None if sketch is None else sketch.astype("<u4").tobytes(),
        marks=None if sketch is None else marks(text).to_text(),
    )


def assembled(title: str, summary: str, body: str) -> str:
    if title and body.startswith(title + "\n"):
        body = body[len(title) :].lstrip("\n")
    begun = re.sub(r"\s*(?:…|\.{3})$", "", summary)  # a summary is often the body's beginning, cut
    if summary == title or (begun and body.startswith(begun)):
        summary = ""
    return _cut("\n\n".join(part for part in (title, summary, body) if part), MAX_TEXT)


def _cut(text: str, characters: int) -> str:
    return text[:characters].rstrip()


def _refuse_unreadable(text: str) -> None:
    if not any(character.isalnum() for character in text):
        raise Unpreparable("empty: no letter or digit in title, summary and body")
    garbage = sum(map(len, _GARBAGE.findall(text)))
    if garbage > MAX_GARBAGE * len(text):
        raise Unpreparable("garbled: the encoding of most of its text was lost before it came here")


def _language(text: str, claimed: str | None, cleaning: Cleaning) -> Language:
    if "language" not in cleaning.without:
        return language(text, claimed=claimed)
    return language("", claimed=claimed)
