"""The language of a text. Pure functions.

1. The claim of the source, if it names a language that is written in the script of the text.
2. Else the script, at any length: Hangul is Korean. Latin names in the text do not count against the script.
3. Else the statistics of py3langid, among the languages of the script. A guess below TOLD is `und`.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import regex

from rerank_core.storage.languages import UNKNOWN, canonical, comparable

SAMPLE = 2_000  # characters at the start of a text; its language is told from them
TOLD = 0.5  # a guess that is less likely than this is `und`

# A text plainly contradicts the claim of its source in a language of its script when all three hold:
PLAIN_LETTERS = 200  # the sample has at least this many letters
PLAIN_CONFIDENCE = 0.95  # another language is at least this likely
PLAIN_DOUBT = 0.02  # the claimed language is at most this likely

SCRIPT_SHARE = 0.3  # a script with at least this share of the letters is the script of the text
SPOKEN_SHARE = 0.1  # a claimed language whose script has this share of the letters keeps its claim
KANA_SHARE = 0.1  # Chinese characters with at least this share of kana among them are Japanese
SENTENCE = (
    4  # Latin words in small letters are no names: a claim of a language without Latin letters is wrong
)
NAME_WEIGHT = (
    0.1  # a letter of a Latin word with a capital, which may be a name, beside one letter of another script
)

# Script → its languages. A script of one language tells the language; those of several leave it to the statistics.
LANGUAGES_OF = {
    "Arabic": "ar fa ur ps ug sd ku ks az".split(),
    "Armenian": ["hy"],
    "Bengali": "bn as".split(),
    "Cyrillic": "ru uk bg be mk sr kk ky tg mn tt ba uz os ce cv".split(),
    "Devanagari": "hi mr ne sa".split(),
    "Ethiopic": "am ti".split(),
    "Georgian": ["ka"],
    "Greek": ["el"],
    "Gujarati": ["gu"],
    "Gurmukhi": ["pa"],
    "Han": "zh ja".split(),
    "Hangul": ["ko"],
    "Hebrew": "he yi".split(),
    "Kana": ["ja"],
    "Kannada": ["kn"],
    "Khmer": ["km"],
    "Lao": ["lo"],
    "Malayalam": ["ml"],
    "Myanmar": ["my"],
    "Oriya": ["or"],
    "Sinhala": ["si"],
    "Tamil": ["ta"],
    "Telugu": ["te"],
    "Thai": ["th"],
    "Tibetan": "bo dz".split(),
}
_NEVER_LATIN = {
    code
    for script, codes in LANGUAGES_OF.items()
    for code in codes
    if code not in {"az", "ku", "sr", "uz", "kk", "tt"}
}
_SCRIPT_OF = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "HALFWIDTH": "Kana",
    **{script.upper(): script for script in LANGUAGES_OF},
}
_ASIDE = regex.compile(r"[(（\[【][^()（）\[\]【】]{0,100}[)）\]】]")
_LATIN_WORD = regex.compile(r"\p{Latin}[\p{Latin}\p{M}]*")
_SMALL_WORD = regex.compile(r"(?<!\p{L})[\p{Latin}&&\p{Ll}]{2,}(?!\p{L})", regex.VERSION1)


@dataclass(frozen=True)
class Language:
    """The language of a text."""

    code: str  # ISO 639-1 if the language has such a code; "und" if it cannot be told
    confidence: float  # 0..1: how likely the text alone makes this language
    overruled: bool = False  # the source claims another language, and the text plainly contradicts the claim
    unknown: bool = False  # the source claims something that names no language


def language(text: str, *, claimed: str | None) -> Language:
    """The language that the source claims, unless the text plainly contradicts the claim; without a claim, a guess.

    Short texts and near relatives keep their claim: see PLAIN_LETTERS, PLAIN_CONFIDENCE and PLAIN_DOUBT.
    """
    named = (claimed or "").strip()
    code = canonical(named) if named else None
    is_unknown = bool(named) and code is None
    code = None if code == UNKNOWN else code
    sample = text[:SAMPLE]
    shares = _script_shares(sample)
    script = _script(shares)
    likelihoods = _likelihoods(sample, script, shares)
    best = max(likelihoods, key=lambda other: likelihoods[other], default=UNKNOWN)
    likeliest = likelihoods.get(best, 0.0)
    guess = best if likeliest >= TOLD else UNKNOWN
    if code is None:
        return Language(guess, likeliest, unknown=is_unknown)
    confidence = likelihoods.get(code, 0.0)
    if _is_spoken(code, shares):
        return Language(code, confidence)
    if script and code not in LANGUAGES_OF[script]:
        return Language(guess, likeliest, overruled=True)
    is_sentence = script is None and len(_SMALL_WORD.findall(sample)) >= SENTENCE
    if code in _NEVER_LATIN and is_sentence and likeliest >= TOLD:
        return Language(best, likeliest, overruled=True)
    letters = sum(map(str.isalpha, sample))
    if letters >= PLAIN_LETTERS and confidence <= PLAIN_DOUBT and likeliest >= PLAIN_CONFIDENCE:
        return Language(best, likeliest, overruled=True)
    return Language(code, confidence)


def script_of(text: str) -> str | None:
    """The script of a text, a key of LANGUAGES_OF; None if it is Latin, or a script of many languages."""
    return _script(_script_shares(text[:SAMPLE]))


def _script_shares(sample: str) -> dict[str, float]:
    """Script → its share of the letters, 0..1. Names in Latin letters and what stands in brackets hardly count."""
    main = _ASIDE.sub(" ", sample)
    if not any(map(str.isalpha, main)):
        main = sample
    weights: dict[str, float] = defaultdict(float)
    for word in _LATIN_WORD.findall(main):
        weights["Latin"] += len(word) if word.islower() else NAME_WEIGHT * len(word)
    for character, times in Counter(main).items():
        if script := _script_of(character):
            weights[script] += times
    total = sum(weights.values())
    return defaultdict(float, {script: weight / total for script, weight in weights.items()} if total else {})


@cache
def _script_of(character: str) -> str | None:
    """The script of a letter; None for a Latin letter, which counts by words, and for what is no letter."""
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "OTHER").split(" ", 1)[0].split("-", 1)[0]
    return None if name in {"LATIN", "FULLWIDTH"} else _SCRIPT_OF.get(name, "Other")


def _script(shares: Mapping[str, float]) -> str | None:
    """The script of the text; None if it is Latin or no script of LANGUAGES_OF."""
    ideographs = shares["Han"] + shares["Kana"]
    if ideographs and ideographs >= max(SCRIPT_SHARE, shares["Hangul"]):
        return "Kana" if shares["Kana"] > KANA_SHARE * ideographs else "Han"
    others = [script for script in shares if script in LANGUAGES_OF and shares[script] >= SCRIPT_SHARE]
    return max(others, key=lambda script: shares[script], default=None)


def _is_spoken(code: str, shares: Mapping[str, float]) -> bool:
    """Whether the claimed language alone is written in a script that much of the text is in."""
    return any(
        shares[script] >= SPOKEN_SHARE
        for script, codes in LANGUAGES_OF.items()
        if code in codes and (len(codes) == 1 or script == "Han")
    )


def _likelihoods(sample: str, script: str | None, shares: Mapping[str, float]) -> dict[str, float]:
    """Language code → how likely the sample makes it, 0..1; empty for a sample without letters."""
    if not any(shares.values()):
        return {}
    if script == "Han":
        return _han(sample)
    if script and len(LANGUAGES_OF[script]) == 1:
        return {LANGUAGES_OF[script][0]: 1.0}
    codes: set[str] | None = set(LANGUAGES_OF[script]) if script else None
    ranked: dict[str, float] = {}
    for label, likelihood in _identifier().rank(sample):
        code = comparable(label)
        if code in codes if codes is not None else code not in _NEVER_LATIN:
            ranked[code] = ranked.get(code, 0.0) + float(likelihood)
    total = sum(ranked.values())
    if script and not total:
        return {LANGUAGES_OF[script][0]: 1.0}
    return {code: likelihood / total for code, likelihood in ranked.items()} if total else {}


def _han(sample: str) -> dict[str, float]:
    """How likely Chinese characters without kana are Chinese or Japanese: by characters that one of them alone uses."""
    chinese = japanese = count = 0
    for character, times in Counter(sample).items():
        if "\u4e00" <= character <= "\u9fff":
            count += times
            old, new = _encodable(character)
            if old is not new:
                chinese += times * old
                japanese += times * new
    if chinese > japanese:
        return {"zh": 1.0, "ja": 0.0}
    if japanese > chinese:
        return {"ja": 0.9, "zh": 0.1}
    # Traditional Chinese has few such characters. A Japanese text of this length has kana.
    return {"zh": 0.9 if count > 20 else 0.6, "ja": 0.1 if count > 20 else 0.4}


@cache
def _encodable(character: str) -> tuple[bool, bool]:
    """Whether Chinese uses the character, and whether Japanese does today."""
    chinese = any(_fits(character, encoding) for encoding in ("gb2312", "big5"))
    return chinese, _fits(character, "shift_jis") and _to_japanese().convert(character) == character


@cache
def _to_japanese() -> Any:
    import opencc

    return opencc.OpenCC("t2jp")


def _fits(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in identifier.labels if len(code) == 2])
    return identifier
