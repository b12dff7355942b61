"""Raw text of the web → clean text, its language, and its BM25 terms. Pure functions."""

import html
import logging
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

import ftfy

MAX_HTML = 500_000  # characters of raw text or HTML that are read; pages of news are far shorter

_TAG = re.compile(r"<(?:!--|!doctype|/?[a-z][a-z0-9]*[\s/>])", re.IGNORECASE)
_PAGE = re.compile(r"<(?:html|head|body)[\s>]", re.IGNORECASE)
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # of reading direction
_SPACE = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\s*\n\s*")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HANGUL = "\uac00-\ud7af\u1100-\u11ff"
_RUNS = re.compile(
    rf"[{_HAN}]+|[{_KANA}][{_KANA}{_HAN}]*|[{_HANGUL}]+|(?:(?![{_HAN}{_KANA}{_HANGUL}])[^\W_])+"
)
_IS_HAN = re.compile(rf"^[{_HAN}]+$")
_IS_BIGRAM_SCRIPT = re.compile(rf"[{_KANA}{_HANGUL}]")
_LANG = re.compile(r"^([A-Za-z]{2})(?:[-_].*)?$")


def plain_text(raw: str | None) -> str:
    """HTML page, HTML fragment or plain text → text: NFC, a line a block, no control characters or overrides."""
    if not raw:
        return ""
    text = raw[:MAX_HTML].replace("\x00", "")
    if _TAG.search(text):
        text = _from_html(text)
    elif "&" in text:
        text = html.unescape(text)
    text = ftfy.fix_text(
        text, uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False, normalization="NFC"
    )
    text = "".join(
        character
        for character in text
        if character in "\n\t"
        or (unicodedata.category(character) not in {"Cc", "Cs", "Co"} and character not in _OVERRIDES)
    )
    return _BLANK_LINES.sub("\n", _SPACE.sub(" ", text)).strip()


def _from_html(markup: str) -> str:
    import trafilatura

    if _PAGE.search(markup):
        found = trafilatura.extract(markup, include_comments=False)
        if found:
            return str(found)
    # A fragment is all content: the extractor is told so, and to keep every block.
    fragment = trafilatura.extract(
        f"<html><body><article>{markup}</article></body></html>", include_comments=False, favor_recall=True
    )
    if fragment:
        return str(fragment)
    from lxml import html as lxml_html
    from lxml.etree import ParserError, strip_elements

    try:
        tree = lxml_html.fromstring(markup)
    except (ParserError, ValueError):
        return ""
    strip_elements(tree, "script", "style", "template", "noscript", with_tail=False)
    return str(tree.text_content())


@cache
def _identifier() -> Any:
    import py3langid

    return py3langid


def language(text: str, *, claimed: str | None) -> str:
    """ISO 639-1 code: the source's own claim where it is one, else by script and statistics."""
    match = _LANG.match(claimed or "")
    if match:
        return match.group(1).lower()
    sample = text[:2_000]
    letters = sum(character.isalpha() for character in sample) or 1
    if len(re.findall(rf"[{_KANA}]", sample)) > 0.1 * letters:
        return "ja"
    if len(re.findall(rf"[{_HANGUL}]", sample)) > 0.3 * letters:
        return "ko"
    if len(re.findall(rf"[{_HAN}]", sample)) > 0.3 * letters:
        return "zh"
    code, _ = _identifier().classify(sample)
    return str(code)


@cache
def _segmenter() -> Any:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    return jieba


def terms(text: str, *, lang: str) -> Iterator[str]:
    """BM25 terms: words of alphabets, jieba's search words of Chinese, bigrams of Japanese and Korean.

    `lang` is the document's language, for a query too: Chinese characters alone do not tell which of the two they are.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    for run in _RUNS.findall(folded):
        if _IS_BIGRAM_SCRIPT.search(run) or (lang == "ja" and _IS_HAN.match(run)):
            yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))
        elif _IS_HAN.match(run):
            yield from (word for word in _segmenter().cut_for_search(run) if word.strip())
        else:
            yield run
