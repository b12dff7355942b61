"""Marks of a text: its figures, its dates and its issue mark (第12期, Vol. 3, Part II). Pure functions.

A weekly meeting is told in the same words each week, a daily table each day. Their marks differ, so they are two stories.
A mark of correction (CORRECTED:, 更正：) tells a correction from a reprint.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import regex

from rerank_core.prepare.terms import caseless

FIGURES = Path(__file__).parent / "rules" / "figures.txt"
MAX_TITLE = 300  # characters; a longer first line is no title

_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_TENS = {"十": 10, "百": 100, "千": 1_000}
_HAN_DIGIT = "[零〇一二两三四五六七八九十百千]"
_HAN_NUMBER = f"{_HAN_DIGIT}+"
_ONES = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TWENTIES = {
    word: value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
# Longer words first: a pattern of them takes the first that fits.
_ENGLISH = {
    **{
        f"{tens}-{_ONES[one]}": str(10 * ten + one) for tens, ten in _TWENTIES.items() for one in range(1, 10)
    },
    **{tens: str(10 * ten) for tens, ten in _TWENTIES.items()},
    **{word: str(value) for value, word in enumerate(_ONES + _TEENS)},
}
_MONTHS = {
    name: str(number)
    for number, names in enumerate(
        "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sept sep"
        "|october oct|november nov|december dec".split("|"),
        start=1,
    )
    for name in names.split()
}
_DAYS = {
    name: str(number)
    for number, name in enumerate("monday tuesday wednesday thursday friday saturday sunday".split(), start=1)
}
_SCALES = {"million": "e6", "mln": "e6", "mn": "e6", "m": "e6", "billion": "e9", "bln": "e9", "bn": "e9"}
_SCALES |= {"trillion": "e12", "trn": "e12", "万": "e4", "亿": "e8", "thousand": "e3"}
_ROMAN = re.compile(r"^(x{0,3})(ix|iv|v?i{0,3})$")
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10}

_DIGIT_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
_HAN_UNITS = "年月日号时点分秒期届次集版讲回章部卷辑季场轮批站天篇局节课例起人名个位元岁条项家所件万亿%％倍成度级层户亩吨米里公"
_FIGURE = re.compile(
    rf"(?P<digits>{_DIGIT_NUMBER})\s?(?P<scale>million|mln|mn|billion|bln|bn|trillion|trn|thousand|万|亿|(?<=\d)m\b)?"
    rf"|(?P<ordinal>第)?(?P<han>{_HAN_NUMBER})(?P<hanscale>[万亿])?(?=(?P<unit>[{_HAN_UNITS}])?)"
    rf"|\b(?P<word>{'|'.join(_ENGLISH)})\b(?:\s(?P<wordscale>million|billion|trillion|thousand)\b)?"
)
_MONTH_NAMES = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"\b(?P<month>{_MONTH_NAMES})\b\.?\s(?P<day>\d{{1,2}})(?!\d)"
    rf"|(?<!\d)(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<month2>{_MONTH_NAMES})\b"
    rf"|\b(?P<alone>{'|'.join(name for name in _MONTHS if len(name) > 4 and name != 'march')})\b"
    rf"|\b(?P<weekday>{'|'.join(_DAYS)})s?\b"
    # The bound of the number keeps a text that is one long number from being read again from each of its digits.
    rf"|(?P<number>\d{{1,20}}+|{_HAN_DIGIT}{{1,20}}+)\s?(?P<part>[年月日])"
    r"|(?:星期|礼拜|(?<![一两三四五六七八九十\d])周)(?P<hanweekday>[一二三四五六日天])(?![年次周])"
)
_KINDS = {
    "vol": "volume",
    "no": "number",
    "nr": "number",
    "issue": "number",
    "pt": "part",
    "ep": "episode",
    "instalment": "installment",
}
_WORD = regex.compile(r"[\p{L}\p{M}]++(?:['\u2019][\p{L}\p{M}]++)*+")
_ISSUE = re.compile(
    rf"第\s?(?P<han>\d+|{_HAN_NUMBER})"
    rf"|[(\[【]\s?(?P<bracket>[上中下终完续末]|\d{{1,3}}|[ivx]+|{_HAN_NUMBER}|\d{{1,2}}/\d{{1,2}})\s?[)\]】]"
    rf"|之(?P<after>{_HAN_NUMBER})(?!\w)"
    r"|(?P<third>[上中下])[篇集部](?!\w)"
    r"|\b(?P<kind>volume|vol|number|no|nr|issue|part|pt|episode|ep|chapter|season|series|round|day|week|stage|game"
    r"|lesson|act|book|section|phase|edition|update|leg|session|installment|instalment|test|match|heat)"
    rf"s?\b\s?[#.:]?\s?(?P<value>\d+|[ivx]+|{'|'.join(_ENGLISH)})\b"
    r"|(?P<before>\d+)(?:st|nd|rd|th)\s(?P<kind2>edition|issue|round|session|day|week|season|series|game|test|stage)\b"
    r"|#\s?(?P<hash>\d+)"
    r"|\b(?P<roman>i{2,3}|iv|vi{0,3}|ix|xi{0,3})(?=\s*(?:$|[:：—–-]))"
)

# "CORRECTED: …", "(Correction) …", "… – korrigiert", "更正：…"; "Correction in the stock market" is none.
_CORRECTED = (
    r"corrected|correct(?:ion|s)|clarification|erratum|errata|berichtigung|berichtigt|korrektur|korrigiert(?:e (?:fassung|version))?|correctie|gecorrigeerd"
    r"|correcci[oó]n|corregid[oa]|fe de err(?:at|or)as|fe de errores|versi[oó]n corregida|rectificaci[oó]n|rectificatif|version corrig[eé]e|rectifi[eé]|correctif|correzione|rettifica"
    r"|corre[cç][aã]o|corrigid[oa]|rettelse|rettet|r[aä]ttelse|r[aä]ttad|oikaisu|sprostowanie|korekta|oprava|исправление"
    r"|исправлено|уточнение|поправка|виправлення|виправлено|d[uü]zeltme|ralat|koreksi|đính chính|تصحيح|تصویب|اصلاحیه|תיקון"
    r"|सुधार|संशोधन|भूल सुधार|সংশোধনী|திருத்தம்|แก้ไข|(?:更正|勘误|勘誤|訂正)(?:启事|啟事|声明|聲明|通知)?|정정(?:\s?보도)?"
)
_CORRECTION = re.compile(
    r"[(\[]corrects\b[^()\[\]]{0,100}[)\]]"  # (Corrects name in headline)
    rf"|\W*(?:(?:update|refile|urgent)\s*\d*\s?[-–—:]\s?)?(?:{_CORRECTED})\W*[:：\-–—|/)\]】）〕」](?!\w*\))"
    rf"|.{{0,{MAX_TITLE}}}(?:[(\[（【]\s?|\s[-–—|]\s?)(?:{_CORRECTED})\s?[)\]）】]?$",
)
_CORRECTS = re.compile(rf"\n+[(\[（【](?:{_CORRECTED})\b")  # a note above the body
_CAPITALS = re.compile(r"\W*(?:CORRECTED|CORRECTION|CORRECTS|更正|勘误|勘誤|訂正)\b")


@dataclass(frozen=True)
class Marks:
    """What tells a story from another story in the same words. Numbers are written in digits."""

    issue: frozenset[str] = frozenset()  # issue marks of the title: numbers of issues, parts, sessions
    title: tuple[str, ...] = ()  # figures and dates of the title, in their order
    figures: frozenset[str] = frozenset()  # figures and dates of the whole text

    def contradict(self, other: "Marks", *, same_form: bool = True) -> bool:
        """Whether the two texts cannot be prints of one story. `same_form`: their titles are much the same.

        They cannot if their issue marks differ, or if each has figures that the other lacks. Figures are compared in
        the title, in their order, and in the whole text, in any order. Figures that only one text has contradict
        nothing: the other text may have left out their paragraph. Issue marks that only one title has contradict
        nothing if the other is another headline.
        """
        return (
            (self.issue != other.issue and (same_form or bool(self.issue and other.issue)))
            or not (_within(self.title, other.title) or _within(other.title, self.title))
            or not (self.figures <= other.figures or other.figures <= self.figures)
        )


def _within(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether all of `some` come among `others`, in this order."""
    rest = iter(others)
    return all(mark in rest for mark in some)


def marks(text: str, *, lang: str = "en") -> Marks:
    """The marks of a document's text. Its first line is its title, unless it is longer than MAX_TITLE.

    `lang` is its language, ISO 639-1. A language that rules/figures.txt lacks is read as English and Chinese are.
    """
    folded = caseless(text)
    title = folded.partition("\n")[0]
    if len(title) > MAX_TITLE:
        title = ""
    return Marks(
        issue=frozenset(_issue_marks(title)),
        title=tuple(_figures(title, lang, is_title=True)),
        figures=frozenset(_figures(folded, lang, is_title=False)),
    )


def is_correction(text: str) -> bool:
    """Whether a document's text says that it corrects another, in its title or in a note above its body."""
    title, line, body = text[: 2 * MAX_TITLE].partition("\n")
    return bool(
        _CAPITALS.match(title)
        or _CORRECTION.match(caseless(title).strip())
        or _CORRECTS.match(line + caseless(body))
    )


def _figures(folded: str, lang: str, *, is_title: bool) -> Iterator[str]:
    """The figures of a caseless text in their order, then its dates, as values.

    A date is marked as one: the same number elsewhere in a text does not hide that the day is another.
    """
    words = list(_words(folded, lang))
    numbers = list(_numbers(folded, is_title=is_title, is_english=lang not in _every_figure()))
    numbers += ((at, value) for at, value in words if value.isdecimal())
    yield from (value for _, value in sorted(numbers))
    yield from _dates(folded)
    yield from (value for _, value in words if not value.isdecimal())


def _words(folded: str, lang: str) -> Iterator[tuple[int, str]]:
    """The numbers, months and days that a caseless text writes as words of its language: place and value of each."""
    values = _every_figure().get(lang, {})
    for match in _WORD.finditer(folded) if values else ():
        word = match.group().replace("\u2019", "'")
        if value := values.get(word) or values.get(word.rpartition("'")[2]):
            yield match.start(), value


@cache
def _every_figure() -> dict[str, dict[str, str]]:
    """Language → its word → its value."""
    found: dict[str, dict[str, str]] = {}
    for lang, listed in by_language(FIGURES).items():
        forms = (value.split() for value in listed.split(","))
        found[lang] = {caseless(word): value for value, *words in forms for word in words}
    return found


def by_language(file: Path) -> dict[str, str]:
    """Language → what a file of rules/ lists for it, on its line. A line that begins with // is a note."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("//")]
    return {lang: listed for lang, colon, listed in (line.partition(":") for line in lines) if colon}


def _numbers(folded: str, *, is_title: bool, is_english: bool) -> Iterator[tuple[int, str]]:
    """The numbers in digits, in English and in Chinese: place and value of each."""
    for match in _FIGURE.finditer(folded):
        part = match.groupdict()
        if part["digits"] is not None:
            yield match.start(), _plain(part["digits"]) + _SCALES.get(part["scale"] or "", "")
        elif part["word"] is not None:
            if is_english and (is_title or part["word"] != "one"):
                yield match.start(), _ENGLISH[part["word"]] + _SCALES.get(part["wordscale"] or "", "")
        elif part["ordinal"] or (
            # In running text, 一 and 两 are as often articles as numbers.
            (part["hanscale"] or part["unit"]) and (is_title or part["han"] not in ("一", "两"))
        ):
            yield match.start(), _han_value(part["han"]) + _SCALES.get(part["hanscale"] or "", "")


def _dates(folded: str) -> Iterator[str]:
    for match in _DATE.finditer(folded):
        part = match.groupdict()
        if part["month"] or part["month2"]:
            yield f"{_MONTHS[part['month'] or part['month2']]}月"
            yield f"{_plain(part['day'] or part['day2'])}日"
        elif part["alone"]:
            yield f"{_MONTHS[part['alone']]}月"
        elif part["number"]:
            yield f"{_value(part['number'])}{part['part']}"
        else:
            weekday = part["weekday"] or part["hanweekday"]
            yield "周" + (_DAYS.get(weekday) or str("一二三四五六日天".index(weekday) % 7 + 1))


def _issue_marks(title: str) -> Iterator[str]:
    """The issue marks of a caseless title, such as "第12" or "volume-3"."""
    for match in _ISSUE.finditer(title):
        part = {name: value for name, value in match.groupdict().items() if value is not None}
        if "kind" in part:
            yield f"{_KINDS.get(part['kind'], part['kind'])}-{_value(part['value'])}"
        elif "kind2" in part:
            yield f"{_KINDS.get(part['kind2'], part['kind2'])}-{_value(part['before'])}"
        else:
            ((name, value),) = part.items()
            yield "第" + _value(value) if name == "han" else "part-" + _value(value)


def _value(number: str) -> str:
    """A number in digits, if it is written in digits, English words, Roman or Chinese numerals; else unchanged."""
    if number.isdecimal():
        return _plain(number)
    if number in _ENGLISH:
        return _ENGLISH[number]
    roman = _ROMAN.match(number)
    if roman and number:
        values = [_ROMAN_VALUES[sign] for sign in number]
        following = [*values[1:], 0]
        return str(
            sum(-value if value < after else value for value, after in zip(values, following, strict=True))
        )
    return _han_value(number) if number[0] in _DIGITS or number[0] in _TENS else number


def _plain(digits: str) -> str:
    """1,204 → 1204, 08 → 8."""
    whole, dot, rest = digits.replace(",", "").partition(".")
    return (whole.lstrip("0") or "0") + dot + rest


def _han_value(number: str) -> str:
    """二〇二四 → 2024, 十二 → 12, 一百零五 → 105."""
    if not any(sign in _TENS for sign in number):
        return "".join(str(_DIGITS[sign]) for sign in number).lstrip("0") or "0"
    total, last = 0, 0
    for sign in number:
        if sign in _TENS:
            total, last = total + (last or 1) * _TENS[sign], 0
        else:
            last = _DIGITS[sign]
    return str(total + last)
