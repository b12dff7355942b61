"""Language codes: what a source or a topic writes → the code that documents and topics are compared by.

A code is BCP 47, by the library langcodes: `pt_BR`, `eng` and `cmn-Hant` are `pt`, `en` and `zh`. A language that has
several codes has one here: `nb` and `nn` are `no`, `iw` is `he`, `in` is `id`. Region and script are left out.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

UNKNOWN = "und"  # a document whose language could not be told

# langcodes keeps these apart; the news of one audience comes under each of them.
_SAME = {
    **dict.fromkeys(("nb", "nn"), "no"),
    **dict.fromkeys(("yue", "wuu", "nan", "hak", "gan", "hsn"), "zh"),
    **dict.fromkeys(("ary", "arz", "apc", "acm", "aeb", "ars"), "ar"),
    **{"fil": "tl", "prs": "fa"},
}
_NO_LANGUAGE = {"mul", "mis", "zxx"}
_PRIVATE = re.compile("q[a-t][a-z]")  # ISO 639 gives these to nobody
# Code, then the names of the language: in English and in itself. A name in brackets or behind a blank does not count.
_NAMES = {
    name: line.split()[0]
    for line in """\
ar arabic العربية عربي
bg bulgarian български
bn bengali bangla বাংলা
ca catalan català
cs czech čeština česky
da danish dansk
de german deutsch
el greek ελληνικά
en english
es spanish español espanol castellano
et estonian eesti
fa persian farsi فارسی
fi finnish suomi
fr french français francais
he hebrew עברית
hi hindi हिन्दी हिंदी
hr croatian hrvatski
hu hungarian magyar
id indonesian bahasa-indonesia
it italian italiano
ja japanese 日本語
km khmer ខ្មែរ
ko korean 한국어
lt lithuanian lietuvių
lv latvian latviešu
ms malay bahasa-melayu
my burmese မြန်မာ
nl dutch nederlands flemish vlaams
no norwegian norsk bokmål bokmal nynorsk
pl polish polski
pt portuguese português portugues
ro romanian română romana
ru russian русский
sk slovak slovenčina
sl slovenian slovene slovenščina
sr serbian српски srpski
sv swedish svenska
sw swahili kiswahili
ta tamil தமிழ்
te telugu తెలుగు
th thai ไทย ภาษาไทย
tl tagalog filipino
tr turkish türkçe turkce
uk ukrainian українська
ur urdu اردو
vi vietnamese tiếng-việt
zh chinese mandarin cantonese simplified-chinese traditional-chinese 中文 简体中文 繁體中文 繁体中文 汉语 漢語 普通话
""".splitlines()
    for name in line.split()[1:]
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

    words = unicodedata.normalize("NFC", claimed).lower().replace("_", "-").split()
    tag = re.split(r"[,;.@(（]", words[0])[0].strip("-") if words else ""
    for name in (tag, "-".join(words[:2])):
        if name in _NAMES:
            return _NAMES[name]
    try:
        tag = langcodes.standardize_tag(tag, macro=True)
        language = langcodes.Language.get(tag)
        code = language.language or UNKNOWN
        if not tag or tag.startswith("x-") or _PRIVATE.fullmatch(code) or not langcodes.tag_is_valid(code):
            return None
    except (LookupError, ValueError):  # LanguageTagError is a ValueError
        return None
    code = _SAME.get(code, code)
    return None if code in _NO_LANGUAGE else code
