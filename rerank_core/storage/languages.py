"""Language codes: what a source or a topic writes → the code that documents and topics are compared by.

A code is BCP 47, by the library langcodes: `pt_BR`, `eng` and `cmn-Hant` are `pt`, `en` and `zh`. A language that has
several codes has one here: `nb` and `nn` are `no`, `iw` is `he`, `in` is `id`. Region and script are left out.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

UNKNOWN = "und"  # a document whose language could not be told

# langcodes keeps these apart; the news of one audience comes under each of them.
_SAME = {"nb": "no", "nn": "no", "yue": "zh", "wuu": "zh", "fil": "tl", "prs": "fa"}
_NO_LANGUAGE = {"mul", "mis", "zxx"}
_NAMES = {
    "arabic": "ar",
    "chinese": "zh",
    "czech": "cs",
    "danish": "da",
    "deutsch": "de",
    "dutch": "nl",
    "english": "en",
    "español": "es",
    "finnish": "fi",
    "français": "fr",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hebrew": "he",
    "hindi": "hi",
    "indonesian": "id",
    "italian": "it",
    "italiano": "it",
    "japanese": "ja",
    "korean": "ko",
    "norwegian": "no",
    "persian": "fa",
    "polish": "pl",
    "portuguese": "pt",
    "português": "pt",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "thai": "th",
    "turkish": "tr",
    "ukrainian": "uk",
    "vietnamese": "vi",
    "中文": "zh",
    "日本語": "ja",
    "한국어": "ko",
    "русский": "ru",
}


def comparable(code: str) -> str:
    """The canonical code of a stored code, which an earlier version may have stored in another form."""
    return canonical(code) or code


def same_language(code: str, stored: Iterable[str]) -> list[str]:
    """Those of the stored codes that are this language, the canonical code first."""
    chosen = comparable(code)
    return sorted((key for key in stored if comparable(key) == chosen), key=lambda key: (key != chosen, key))


@lru_cache(maxsize=4_096)
def canonical(claimed: str) -> str | None:
    """The code of a language, of two letters if it has one; None if the claim names no language.

    `en_US.UTF-8` and `en-us,en` are the first language that they name. `und` is itself.
    """
    import langcodes  # only those who compare languages wait for its tables

    tag = re.split(r"[,;.@\s]", claimed.strip())[0].replace("_", "-").lower()
    if tag in _NAMES:
        return _NAMES[tag]
    try:
        tag = langcodes.standardize_tag(tag, macro=True)
        language = langcodes.Language.get(tag)
        if not tag or tag.startswith("x-") or not langcodes.tag_is_valid(language.language or UNKNOWN):
            return None
    except (LookupError, ValueError):  # LanguageTagError is a ValueError
        return None
    code = language.language or UNKNOWN
    code = _SAME.get(code, code)
    return None if code in _NO_LANGUAGE else code
