"""The form in which texts are compared, and the BM25 terms of a text. Pure functions."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from rerank_core.prepare.chinese import search_words

# Ranges of characters, to be put inside the brackets of a pattern.
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HANGUL = "\uac00-\ud7af\u1100-\u11ff"

_RUNS = re.compile(rf"[{HAN}]+|[{KANA}][{KANA}{HAN}]*|[{HANGUL}]+|(?:(?![{HAN}{KANA}{HANGUL}])[^\W_])+")
_IS_HAN = re.compile(rf"^[{HAN}]+$")
_IS_BIGRAM_SCRIPT = re.compile(rf"[{KANA}{HANGUL}]")


@lru_cache(maxsize=1)  # terms, flags, signature and marks ask for the same document in turn
def caseless(text: str) -> str:
    """The form in which texts are compared: Unicode NFKC, then case folding."""
    return unicodedata.normalize("NFKC", text).casefold()


def terms(text: str, *, lang: str) -> Iterator[str]:
    """The BM25 terms of a text, caseless, in the order of the text.

    A term is a word of an alphabet, a search word of jieba in Chinese, or two neighbouring characters in Japanese and
    Korean. `lang` is the ISO 639-1 code of the document. A query takes the code of the documents that it is compared
    with, because Chinese characters alone do not tell Chinese from Japanese.
    """
    for run in _RUNS.findall(caseless(text)):
        if _IS_BIGRAM_SCRIPT.search(run) or (lang == "ja" and _IS_HAN.match(run)):
            yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))
        elif _IS_HAN.match(run):
            yield from search_words(run)
        else:
            yield run
