"""The form in which texts are compared, and the BM25 terms of a text. Pure functions.

Libraries: `regex` knows letters, marks and graphemes, OpenCC makes traditional Chinese simplified, PyStemmer stems
words (Snowball), and jieba cuts Chinese (chinese.py).
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import regex

from rerank_core.prepare.chinese import search_words
from rerank_core.prepare.chinese import words as chinese_words

# Ranges of characters, to be put inside the brackets of a pattern.
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HANGUL = "\uac00-\ud7af\u1100-\u11ff"
UNSPACED = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"  # scripts without spaces between words

_CJK = HAN + KANA + HANGUL
_LETTER = rf"[[\p{{L}}\p{{N}}]--[{_CJK}{UNSPACED}]]"
_LETTERS = rf"{_LETTER}[[\p{{L}}\p{{M}}\p{{N}}\u200c]--[{_CJK}{UNSPACED}]]*+"
_NUMBER_GOES_ON = rf"(?<=\p{{N}})[.,](?=\p{{N}}){_LETTERS}"  # 3.6.3, 5,000
_RUNS = regex.compile(
    rf"[{HAN}]+|[{KANA}][{KANA}{HAN}]*|[{HANGUL}]+|[[{UNSPACED}]&&[\p{{L}}\p{{M}}\p{{N}}]]+"
    rf"|\p{{L}}(?:\+\+(?!\+)|\#)(?!\p{{L}})"  # C++, C#
    rf"|[a-z](?:\.[a-z])+(?![\p{{L}}\p{{M}}\p{{N}}])\.?"  # U.S.
    rf"|{_LETTERS}(?:{_NUMBER_GOES_ON})*+(?:(?<=\p{{L}})-\p{{N}}[\p{{L}}\p{{M}}\p{{N}}]*+(?:{_NUMBER_GOES_ON})*+)?"
    rf"(?:(?:'\p{{L}}++)++|\"\p{{Hebrew}}(?![\p{{L}}\p{{M}}]))?",
    regex.VERSION1,
)
_HAN_RUN, _BIGRAM_RUN, _UNSPACED_RUN = (
    regex.compile(start, regex.VERSION1) for start in (f"[{HAN}]", f"[{KANA}{HANGUL}]", f"[{UNSPACED}]")
)
_PARTS = regex.compile("[^-']+")
_APOSTROPHE_WITHIN = frozenset(("be", "he", "uk", "uz", "yi"))  # languages in which it parts no words: п'ять
_DIGIT = regex.compile(r"\p{N}")


def _digits() -> Iterator[str]:
    """The decimal digits of all scripts but those of ASCII."""
    return (sign for sign in map(chr, range(128, 0x20000)) if sign.isdecimal())


_MARKS = (
    r"\u093c"  # nukta of Devanagari
    r"\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew points
    r"\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"  # harakat, tatweel
    r"\u00ad\u200b\u200d-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufe00-\ufe0f\U000e0100-\U000e01ef"  # of no width
)
_DROPPED = regex.compile(
    rf"[{_MARKS}]|(?<=i)\u0307"  # of İ
    r"|(?<!\p{Arabic})\u200c|\u200c(?!\p{Arabic})"  # between Arabic letters it parts a word
)
_MAY_DROP = regex.compile(rf"[{_MARKS}\u0307\u200c]")
_CHILLU = regex.compile("([ക-ള])\u0d4d\u200d")  # of Malayalam: a letter, its virama and a joiner
_CHILLUS = dict(zip("ണനരലളക", "ൺൻർൽൾൿ", strict=True))
_AM = regex.compile(
    "([\u0e4d\u0ecd])([\u0e48-\u0e4b\u0ec8-\u0ecb])(?=[\u0e32\u0eb2])"
)  # น้ำ typed in another order
# A nasal before a stop of its row is also written as anusvara: हिन्दी, हिंदी.
_NASAL = regex.compile("ङ्(?=[क-घ])|ञ्(?=[च-झ])|ण्(?=[ट-ढ])|न्(?=[त-ध])|म्(?=[प-भ])")
_SAME = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bb\u02bc\u02b9\u2032\u05f3\u0060", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u05f4", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u05be\ufe63", "-"),
    **{digit: str(unicodedata.decimal(digit)) for digit in _digits()},
    "œ": "oe",
    "\u0901": "\u0902",  # candrabindu and anusvara of Devanagari
    "\u06cc": "\u064a",  # letters that keyboards, or writers of Arabic in a hurry, take for one another
    "\u0649": "\u064a",
    "\u06a9": "\u0643",
    "\u0629": "\u0647",
    **dict.fromkeys("\u0622\u0623\u0625\u0671", "\u0627"),
}

# A pair of Chinese characters with one of these is of grammar, not of the story.
_GRAMMAR = frozenset("的了是在和与也都就而及为被把这那哪什么吗呢一")
# The stop words of Lucene: words that no query is about.
_STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this"
    " to was will with".split()
)
# Language → its Snowball algorithm. Persian is missing, because its letters are folded to those of Arabic. The languages of
# India keep their words as they are written.
_STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "tr": "turkish",
    "yi": "yiddish",
}
_PLURALS = {
    "calves": "calf",
    "children": "child",
    "feet": "foot",
    "geese": "goose",
    "halves": "half",
    "knives": "knife",
    "loaves": "loaf",
    "men": "man",
    "mice": "mouse",
    "shelves": "shelf",
    "teeth": "tooth",
    "thieves": "thief",
    "wives": "wife",
    "wolves": "wolf",
    "women": "woman",
}


@lru_cache(maxsize=1)  # terms, flags, signature and marks ask for the same document in turn
def caseless(text: str) -> str:
    """The form in which texts are compared: Unicode NFKC, then case folding."""
    return unicodedata.normalize("NFKC", text).casefold()


def folded(text: str) -> str:
    """The form in which words are compared: caseless, with one kind of quote, hyphen and digit.

    Vowel points of Arabic and Hebrew, tatweel, the dot of `İ` and characters of no width are dropped. A zero-width
    non-joiner stays between Arabic letters, because it parts a word there.
    """
    text = caseless(text.replace("\u00b4", "'"))  # NFKC makes an accent of it
    if text.isascii():
        return text.replace("`", "'")
    text = unicodedata.normalize("NFC", text)
    if "\u0d4d\u200d" in text:
        text = str(_CHILLU.sub(lambda found: _CHILLUS.get(found[1], found[0]), text))
    if "\u094d" in text:
        text = str(_NASAL.sub("\u0902", text))
    if "\u0e32" in text or "\u0eb2" in text:
        text = str(_AM.sub(r"\2\1", text))
    used = set(text)  # few characters, looked at once, instead of all of a text
    if _MAY_DROP.search("".join(used)):
        text = str(_DROPPED.sub("", text))
    for character in _SAME.keys() & used:
        text = text.replace(character, _SAME[character])
    return text


@lru_cache(maxsize=1)
def simplified(text: str) -> str:
    """The text with simplified Chinese characters for traditional characters; any other text unchanged."""
    return str(_converter().convert(text)) if _HAN_RUN.search(text) else text


@cache
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("t2s")


def terms(text: str, *, lang: str) -> list[str]:
    """The BM25 terms of a text, folded, in the order of the text.

    | script | terms |
    |---|---|
    | an alphabet | words, with their combining marks; `C++`, `3.6.3`, `u.s.` and `צה"ל` are words |
    | Chinese | search words of jieba, then pairs of neighbouring characters; all in simplified characters |
    | Japanese, Korean | pairs of neighbouring characters |
    | Thai, Lao, Khmer, Burmese | pairs of neighbouring graphemes |

    A word with a hyphen before a number (`gpt-5.4`), and an Arabic word with a zero-width non-joiner, are followed by
    their parts. Words are stemmed if the language has an algorithm (_STEMMERS). English stop words are left out. `lang`
    is the ISO 639-1 code of the document. A query takes the code of the documents that it is compared with, because Chinese characters alone do not tell
    Chinese from Japanese.
    """
    text = folded(text)
    if lang != "ja":
        text = simplified(text)
    return [term for run in _RUNS.findall(text) for term in _of_run(run, lang)]


def words(text: str, *, lang: str) -> dict[str, tuple[str, ...]]:
    """The words of a query as people read them → the BM25 terms of each; no term: the word does not count.

    A run of Japanese, Korean, Thai, Lao, Khmer or Burmese is one word. `lang` is that of the documents, as for `terms`.
    """
    found: dict[str, tuple[str, ...]] = {}
    text = folded(text)
    for run in _RUNS.findall(text if lang == "ja" else simplified(text)):
        is_chinese = lang != "ja" and _HAN_RUN.match(run) and not _BIGRAM_RUN.search(run)
        for word in chinese_words(run) if is_chinese else (run,):
            found[word] = tuple(_of_run(word, lang))
    return found


def _of_run(run: str, lang: str) -> Sequence[str]:
    """The terms of a run of one script."""
    if run.isascii():
        return list(_words(run, lang))
    if _BIGRAM_RUN.search(run) or (lang == "ja" and _HAN_RUN.match(run)):
        return _pairs(run)
    if _HAN_RUN.match(run):
        return _chinese(run)
    if _UNSPACED_RUN.match(run):
        return _pairs(regex.findall(r"\X", run))
    return list(_words(run, lang))


def _pairs(characters: Sequence[str]) -> list[str]:
    return list(map("".join, pairwise(characters))) or ["".join(characters)]


def _chinese(run: str) -> list[str]:
    words = search_words(run)
    if len(run) <= 2:
        return list(words)
    known = set(words)
    return words + [pair for pair in _pairs(run) if pair not in known and _GRAMMAR.isdisjoint(pair)]


def _words(run: str, lang: str) -> Iterator[str]:
    """A run of an alphabet: the word, and its parts if it has any."""
    if "\u200c" in run:
        yield _stem(run.replace("\u200c", ""), lang)
        yield from (_stem(part, lang) for part in run.split("\u200c"))
    elif "." in run and not _DIGIT.search(run):  # U.S., with or without its last point
        yield run.rstrip(".") + "."
    elif '"' in run:  # an abbreviation in Hebrew
        yield run.replace('"', "")
    elif "'" in run and lang in _APOSTROPHE_WITHIN and "-" not in run:
        yield _stem(run.replace("'", ""), lang)
    elif lang == "en" and "-" not in run:
        if run not in _STOP_WORDS:
            yield _stem(run, lang)
    elif "-" in run or "'" in run:
        if "-" in run:
            yield run
        yield from (_stem(part, lang) for part in _PARTS.findall(run))
    else:
        yield _stem(run, lang)


@lru_cache(maxsize=50_000)
def _stem(word: str, lang: str) -> str:
    """The stem that the forms of a word share; the word itself if its language has no algorithm, or if nothing is left.

    `ı` becomes `i`, because both have the capital I in texts of any language.
    """
    if lang in _STEMMERS:
        word = (lang == "en" and _PLURALS.get(word)) or str(_stemmer(lang).stemWord(word)) or word
    return word.replace("ı", "i")


@cache
def _stemmer(lang: str) -> Any:
    import Stemmer

    return Stemmer.Stemmer(_STEMMERS[lang])
