"""The language of a text, and its BM25 terms. Pure functions."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from rerank_core.prepare.chinese import search_words

SAMPLE = 2_000  # characters that a language is told from
PLAIN_LETTERS = 200  # letters of a text that can contradict the source's claim
PLAIN_CONFIDENCE = 0.95  # of the language that it is instead
PLAIN_DOUBT = 0.02  # at most, of the claimed one

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HANGUL = "\uac00-\ud7af\u1100-\u11ff"
_RUNS = re.compile(
    rf"[{_HAN}]+|[{_KANA}][{_KANA}{_HAN}]*|[{_HANGUL}]+|(?:(?![{_HAN}{_KANA}{_HANGUL}])[^\W_])+"
)
_IS_HAN = re.compile(rf"^[{_HAN}]+$")
_IS_BIGRAM_SCRIPT = re.compile(rf"[{_KANA}{_HANGUL}]")
_LANG = re.compile(r"^([A-Za-z]{2})(?:[-_].*)?$")
_HAN_ONE, _KANA_ONE, _HANGUL_ONE = (re.compile(f"[{script}]") for script in (_HAN, _KANA, _HANGUL))
_SAME = {
    "nb": "no",
    "iw": "he",
    "in": "id",
    "ji": "yi",
}  # code → the one that the statistics know the language by


@dataclass(frozen=True)
class Language:
    """The language of a text."""

    code: str  # ISO 639-1, or "und"
    confidence: float  # 0..1: how likely the text alone makes it
    overruled: bool = False  # the source claims another one, which the text plainly contradicts


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    found = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found.set_languages([code for code in found.labels if len(code) == 2])
    return found


def language(text: str, *, claimed: str | None) -> Language:
    """The source's claim where it is a language code, unless the text plainly contradicts it; else the likeliest.

    A text contradicts the claim when it has at least 200 letters, is of another language with a confidence of
    0.95, and of the claimed one with 0.02 at most. Short texts and near relatives therefore keep their claim.
    """
    sample = text[:SAMPLE]
    likely = _likely(sample)
    best = max(likely, key=lambda code: likely[code], default="und")
    match = _LANG.match((claimed or "").strip())
    if match is None:
        return Language(best, likely.get(best, 0.0))
    code = match.group(1).lower()
    confidence = likely.get(_SAME.get(code, code), 0.0)
    if (
        confidence <= PLAIN_DOUBT
        and likely.get(best, 0.0) >= PLAIN_CONFIDENCE
        and sum(map(str.isalpha, sample)) >= PLAIN_LETTERS
    ):
        return Language(best, likely[best], overruled=True)
    return Language(code, confidence)


def _likely(sample: str) -> dict[str, float]:
    """Language → how likely it is: by script for those that have one of their own, else by statistics."""
    letters = sum(map(str.isalpha, sample))
    if not letters:
        return {}
    kana, hangul, han = (len(found.findall(sample)) / letters for found in (_KANA_ONE, _HANGUL_ONE, _HAN_ONE))
    if kana > 0.1:
        return {"ja": min(1.0, kana + han)}
    if hangul > 0.3:
        return {"ko": min(1.0, hangul + han)}
    if han > 0.3:
        return {"zh": min(1.0, han)}
    return {code: float(likely) for code, likely in _identifier().rank(sample)}


@lru_cache(maxsize=1)  # a document is asked for by terms, flags, signature and marks in turn
def caseless(text: str) -> str:
    """The form in which texts are compared: NFKC, no case."""
    return unicodedata.normalize("NFKC", text).casefold()


def terms(text: str, *, lang: str) -> Iterator[str]:
    """BM25 terms: words of alphabets, jieba's search words of Chinese, bigrams of Japanese and Korean.

    `lang` is the document's language, for a query too: Chinese characters alone do not tell which of the two they are.
    """
    for run in _RUNS.findall(caseless(text)):
        if _IS_BIGRAM_SCRIPT.search(run) or (lang == "ja" and _IS_HAN.match(run)):
            yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))
        elif _IS_HAN.match(run):
            yield from search_words(run)
        else:
            yield run
