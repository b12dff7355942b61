"""The language of a text. Pure functions."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from rerank_core.prepare.terms import HAN, HANGUL, KANA

SAMPLE = 2_000  # characters at the start of a text; its language is told from them

# A text plainly contradicts the claim of its source when all three hold:
PLAIN_LETTERS = 200  # the sample has at least this many letters
PLAIN_CONFIDENCE = 0.95  # another language is at least this likely
PLAIN_DOUBT = 0.02  # the claimed language is at most this likely

_LANG = re.compile(r"^([A-Za-z]{2})(?:[-_].*)?$")
_HAN_ONE, _KANA_ONE, _HANGUL_ONE = (re.compile(f"[{script}]") for script in (HAN, KANA, HANGUL))
_STATISTICS_CODE = {"nb": "no", "iw": "he", "in": "id", "ji": "yi"}  # claimed code → code that py3langid uses


@dataclass(frozen=True)
class Language:
    """The language of a text."""

    code: str  # ISO 639-1, or "und" if the text has no letters and the source claims nothing
    confidence: float  # 0..1: how likely the text alone makes this language
    overruled: bool = False  # the source claims another language, and the text plainly contradicts the claim


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in identifier.labels if len(code) == 2])
    return identifier


def language(text: str, *, claimed: str | None) -> Language:
    """The language that the source claims, unless the text plainly contradicts the claim.

    Without a claim that begins with a code of two letters ("zh", "pt_BR"), it is the likeliest language of the text.
    Short texts and near relatives (nb and nn) keep their claim: see PLAIN_LETTERS, PLAIN_CONFIDENCE and PLAIN_DOUBT.
    """
    sample = text[:SAMPLE]
    likelihoods = _likelihoods(sample)
    best = max(likelihoods, key=lambda code: likelihoods[code], default="und")
    match = _LANG.match((claimed or "").strip())
    if match is None:
        return Language(best, likelihoods.get(best, 0.0))
    code = match.group(1).lower()
    confidence = likelihoods.get(_STATISTICS_CODE.get(code, code), 0.0)
    if (
        confidence <= PLAIN_DOUBT
        and likelihoods.get(best, 0.0) >= PLAIN_CONFIDENCE
        and sum(map(str.isalpha, sample)) >= PLAIN_LETTERS
    ):
        return Language(best, likelihoods[best], overruled=True)
    return Language(code, confidence)


def _likelihoods(sample: str) -> dict[str, float]:
    """Language code → how likely the sample makes it, 0..1; empty for a sample without letters.

    Japanese, Korean and Chinese are told by their script, all others by the statistics of py3langid.
    """
    letters = sum(map(str.isalpha, sample))
    if not letters:
        return {}
    kana, hangul, han = (
        len(pattern.findall(sample)) / letters for pattern in (_KANA_ONE, _HANGUL_ONE, _HAN_ONE)
    )
    if kana > 0.1:
        return {"ja": min(1.0, kana + han)}
    if hangul > 0.3:
        return {"ko": min(1.0, hangul + han)}
    if han > 0.3:
        return {"zh": min(1.0, han)}
    return {code: float(likelihood) for code, likelihood in _identifier().rank(sample)}
