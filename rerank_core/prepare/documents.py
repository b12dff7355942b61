"""Raw article → document: its title, summary and body are cleaned, put together and described.

The text is title, summary and body, with an empty line between them. A title or summary that the body begins with is not
repeated. Captions follow the summary, if they are wanted (captions.py): they say nothing of the language, and make no text unlike
another. Language, BM25 terms, flags and signature else describe the whole text. The limits (MAX_TITLE, MAX_SUMMARY,
MAX_TEXT) lie far beyond what the model reads.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rerank_core.prepare import captions
from rerank_core.prepare.cleaning import LINE_STEPS, MAX_RAW, Cleaning, Tally, clean
from rerank_core.prepare.flags import flags
from rerank_core.prepare.fragment import letters
from rerank_core.prepare.language import Language, language
from rerank_core.prepare.near_copies import signature
from rerank_core.prepare.terms import terms
from rerank_core.records import Document

MAX_TITLE = 300  # characters
MAX_SUMMARY = 2_000  # characters
MAX_TEXT = 20_000  # characters
MAX_GARBAGE = 0.3  # share of a text's characters; nobody can read a text with more garbage

# Garbage is what is left of a text whose encoding was lost: replacement characters, question marks, misread characters.
_GARBAGE = re.compile("[\ufffd\u25a1]|\\?{3,}|锟斤拷|烫烫烫|ï¿½")
MAX_RAW_OF = {"title": 20_000, "summary": 200_000, "body": MAX_RAW}  # characters of raw text that are read


class Unpreparable(Exception):
    """The article has no text that can be ranked. The message is the reason, for the quarantine."""


def to_document(
    *,
    title: str | None,
    summary: str | None,
    body: str | None,
    lang: str | None,
    cleaning: Cleaning = Cleaning(),  # noqa: B008 - it is frozen
    counts: Counter[str] | None = None,
    told: Sequence[captions.Told] | None = None,
) -> Document:
    """The document that the model and BM25 read. Adds what each step did to `counts`, if given.

    `lang` is the language that the source claims. `told` is what is said of the article's media; None leaves captions and alt
    texts out. Raises Unpreparable if no readable text is left, and whatever a
    parser raises.
    """
    tally = Tally()
    clean_title = _cut(cleaned("title", title, cleaning=cleaning, tally=tally).replace("\n", " "), MAX_TITLE)
    clean_summary = _cut(cleaned("summary", summary, cleaning=cleaning, tally=tally), MAX_SUMMARY)
    clean_body = cleaned("body", body, cleaning=cleaning, tally=tally)
    text = assembled(clean_title, clean_summary, clean_body)
    _refuse_unreadable(text, tally)
    spoken = _language(text, lang, cleaning)
    sketch = None if "syndication" in cleaning.without else signature(text, lang=spoken.code)
    lines = ""
    if told is not None:
        lines = captions.lines(told, body, text=text, lang=spoken.code, cleaning=cleaning)
        text = assembled(clean_title, clean_summary, clean_body, lines)
    words = terms(text, lang=spoken.code)
    noticed = () if "flags" in cleaning.without else flags(text, terms=words)
    if counts is not None:
        counts.update(f"{step}_changed" for step in tally.changed)
        counts["boilerplate_lines"] += tally.lines_removed
        counts["raw_cut"] += tally.raw_cut
        counts["fragment_restored"] += tally.restored
        counts["page_without_article"] += tally.pages_without_article
        counts["letters_in"] += tally.letters_in
        counts["letters_out"] += tally.letters_out
        counts["caption_lines"] += len(lines.splitlines())
        counts["language_overruled"] += spoken.overruled
        counts["language_unknown"] += spoken.unknown
        counts[f"lang_{spoken.code}"] += 1
        counts.update(f"flag_{flag}" for flag in noticed)
        counts["signature_short"] += sketch is None and "syndication" not in cleaning.without
    return Document(
        digest=hashlib.sha256(text.encode("utf-8")).digest(),
        title=clean_title or _cut(text.split("\n", 1)[0], MAX_TITLE),
        text=text,
        lang=spoken.code,
        terms=" ".join(words),
        lang_confidence=spoken.confidence,
        flags=noticed,
        signature=None if sketch is None else sketch.astype("<u4").tobytes(),
        letters_in=tally.letters_in,
        letters_out=tally.letters_out,
    )


def with_pictures(document: Document, pictures: tuple[str, ...]) -> Document:
    """The document whose model reads these pictures with it: its digest covers them. Without pictures it is unchanged."""
    if not pictures:
        return document
    return replace(document, digest=digest_with(document.digest, pictures), pictures=pictures)


def digest_with(text_digest: bytes, pictures: tuple[str, ...]) -> bytes:
    """The digest of a text and of the pictures that the model reads with it: sha256 of the text's digest and the paths."""
    return hashlib.sha256(text_digest + "\0".join(pictures).encode()).digest()


def cleaned(
    field: str, raw: str | None, *, cleaning: Cleaning, tally: Tally, steps: Sequence[str] | None = None
) -> str:
    """The clean text of a field: "title", "summary" or "body". `steps` are those of the field, unless given."""
    if steps is None and field == "title":
        steps = LINE_STEPS
    text = clean(raw, cleaning=cleaning, tally=tally, steps=steps, characters=MAX_RAW_OF[field])
    tally.letters_out += letters(text)
    return text


def assembled(title: str, summary: str, body: str, lines: str = "") -> str:
    """The text of a document, of its cleaned parts and the lines of its captions; at most MAX_TEXT characters."""
    if title and body.startswith(title + "\n"):
        body = body[len(title) :].lstrip("\n")
    begun = re.sub(r"\s*(?:…|\.{3})$", "", summary)  # a summary is often the first words of the body
    if summary == title or (begun and body.startswith(begun)):
        summary = ""
    return _cut("\n\n".join(part for part in (title, summary, lines, body) if part), MAX_TEXT)


def _cut(text: str, characters: int) -> str:
    return text[:characters].rstrip()


def _refuse_unreadable(text: str, tally: Tally) -> None:
    if not any(character.isalnum() for character in text):
        if tally.pages_without_article:
            raise Unpreparable(
                "no_article: a script fills the page, and its navigation is all that can be read; send the article's text"
            )
        taken = tally.lines_removed and tally.letters_in
        once = ", once rules took its lines of notices and advertising" if taken else ""
        raise Unpreparable(f"empty: no letter or digit in title, summary and body{once}")
    garbage = sum(map(len, _GARBAGE.findall(text)))
    if garbage > MAX_GARBAGE * len(text):
        raise Unpreparable(
            "garbled: the encoding of much of the text was lost before it was claimed; send it again in UTF-8"
        )


def _language(text: str, claimed: str | None, cleaning: Cleaning) -> Language:
    if "language" not in cleaning.without:
        return language(text, claimed=claimed)
    return language("", claimed=claimed)
