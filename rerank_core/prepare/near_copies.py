"""Near-copies: whether two texts are prints of one story, told from what stands beside the texts. Pure functions.

    signature   MinHash (datasketch) over shingles: of five characters in Chinese, Japanese and Korean, of three words
                elsewhere. The share of equal places estimates the share of shingles that two texts have in common.
    marks       figures, dates and issue marks (第12期, Vol. 3, Part II). Two texts that are alike and whose marks
                contradict each other are two stories: a meeting of every week, a table of every day.
    clusters    each text in turn joins the leader that it is most like, or leads a cluster of its own.

A text is compared with leaders alone, so that a chain of small changes cannot tie the first text to the last. Leaders
that might be alike are found by bands: four places of the signature at a time, 32 of them, equal in at least one. Texts
that share 0.8 of their shingles share a band but for one in ten million, those that share 0.5 but for one in eight.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from rerank_core.prepare.terms import caseless

PLACES = 128  # of a signature; the estimate is off by 0.035 at a similarity of 0.8
ROWS = 4  # places of a band
BANDS = PLACES // ROWS
LEAST_SHINGLES = 40  # a shorter text is alike by its form: an appointment with another name in it
CHARACTERS = 5  # of a shingle
WORDS = 3
CROWD = 100  # leaders that a band remembers: form letters, each with other figures, would be compared by the million
MAX_TITLE = 300  # characters of a first line that can be a title

Signatures = npt.NDArray[np.uint32]  # one row a text
Indices = npt.NDArray[np.int64]

_CJK = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}])[^\W_])+")


@dataclass(frozen=True)
class Marks:
    """What tells a story from the next one that is told in the same words."""

    issue: frozenset[str] = frozenset()  # of the title: numbers of issues, parts, sessions
    title: tuple[str, ...] = ()  # figures and dates of the title, in their order
    figures: frozenset[str] = frozenset()  # those of the whole text

    def contradict(self, other: "Marks") -> bool:
        """Whether the two cannot be prints of one story.

        They cannot where their issue marks differ, or where each has figures that the other lacks: in the title,
        where their order counts, or in the whole text. What only one of them has may be a paragraph that the
        other left out.
        """
        return (
            self.issue != other.issue
            or not (_within(self.title, other.title) or _within(other.title, self.title))
            or not (self.figures <= other.figures or other.figures <= self.figures)
        )

    def to_text(self) -> str:
        """A line for each kind; what `of_text` reads."""
        return "\n".join(" ".join(part) for part in (sorted(self.issue), self.title, sorted(self.figures)))

    @classmethod
    def of_text(cls, text: str) -> "Marks":
        """What `to_text` wrote."""
        issue, title, figures = (line.split() for line in text.split("\n"))
        return cls(frozenset(issue), tuple(title), frozenset(figures))


def _within(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether all of these come in this order among the others."""
    rest = iter(others)
    return all(one in rest for one in some)


# ── Signature ───────────────────────────────────────────────────────────────────────────────────


def signature(text: str) -> npt.NDArray[np.uint32] | None:
    """The MinHash of a document's text, PLACES long; None where the text is too short to be compared."""
    hashes = _shingles(caseless(text))
    if len(hashes) < LEAST_SHINGLES:
        return None
    from datasketch import MinHash  # brings scipy and redis: only the stage that signs texts waits for them

    sketch = MinHash(num_perm=PLACES, hashfunc=_itself, permutations=_permutations(), scheme="affine32")
    sketch.update_batch(hashes.tolist())
    return np.asarray(sketch.hashvalues, dtype=np.uint32)


def _shingles(folded: str) -> npt.NDArray[np.uint32]:
    """The different shingles of a text, each as a hash of 32 bits."""
    tokens = _TOKEN.findall(folded)
    single = sum(len(token) == 1 and token >= "\u3040" for token in tokens)
    length = CHARACTERS if 2 * single > len(tokens) else WORDS
    if len(tokens) < length:
        return np.zeros(0, dtype=np.uint32)
    hashed = np.fromiter(
        (zlib.crc32(token.encode("utf-8", "replace")) for token in tokens), dtype=np.uint64, count=len(tokens)
    )
    count = len(tokens) - length + 1
    mixed = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        mixed = (mixed ^ hashed[place : place + count]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return np.unique((mixed >> np.uint64(32)).astype(np.uint32))


def _itself(value: int) -> int:
    return value


@cache
def _permutations() -> npt.NDArray[np.uint32]:
    from datasketch import MinHash

    return np.asarray(MinHash(num_perm=PLACES, scheme="affine32").permutations, dtype=np.uint32)


def bands(signatures: Signatures) -> Signatures:
    """One row a text: a hash of each of its BANDS bands."""
    parts = signatures.reshape(len(signatures), BANDS, ROWS).astype(np.uint64)
    mixed = np.zeros(parts.shape[:2], dtype=np.uint64)
    for row in range(ROWS):
        mixed = (mixed ^ parts[:, :, row]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return (mixed >> np.uint64(32)).astype(np.uint32)


# ── Marks ───────────────────────────────────────────────────────────────────────────────────────

_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_TENS = {"十": 10, "百": 100, "千": 1_000}
_HAN_NUMBER = "[零〇一二两三四五六七八九十百千]+"
_ENGLISH = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen twenty".split()
    )
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
    rf"|(?P<number>\d+|{_HAN_NUMBER})\s?(?P<part>[年月日])"
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


def marks(text: str) -> Marks:
    """The marks of a document's text, whose first line is its title where it is no longer than a title can be."""
    folded = caseless(text)
    title = folded.partition("\n")[0]
    if len(title) > MAX_TITLE:
        title = ""
    return Marks(
        issue=frozenset(_issue_marks(title)),
        title=tuple(_figures(title, is_title=True)),
        figures=frozenset(_figures(folded, is_title=False)),
    )


def _figures(folded: str, *, is_title: bool) -> Iterator[str]:
    """Figures by value, and dates: a value that stands elsewhere in the text does not hide that the day is another."""
    for found in _FIGURE.finditer(folded):
        part = found.groupdict()
        if part["digits"] is not None:
            yield _plain(part["digits"]) + _SCALES.get(part["scale"] or "", "")
        elif part["word"] is not None:
            if is_title or part["word"] != "one":
                yield _ENGLISH[part["word"]] + _SCALES.get(part["wordscale"] or "", "")
        elif part["ordinal"] or (
            # In running text 一 and 两 are as often articles as numbers.
            (part["hanscale"] or part["unit"]) and (is_title or part["han"] not in ("一", "两"))
        ):
            yield _han_value(part["han"]) + _SCALES.get(part["hanscale"] or "", "")
    for found in _DATE.finditer(folded):
        part = found.groupdict()
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
    for found in _ISSUE.finditer(title):
        part = {name: value for name, value in found.groupdict().items() if value is not None}
        if "kind" in part:
            yield f"{_KINDS.get(part['kind'], part['kind'])}-{_value(part['value'])}"
        elif "kind2" in part:
            yield f"{_KINDS.get(part['kind2'], part['kind2'])}-{_value(part['before'])}"
        else:
            ((name, value),) = part.items()
            yield "第" + _value(value) if name == "han" else "part-" + _value(value)


def _value(number: str) -> str:
    """A number in digits, whatever it was written in; what is none stays as it is."""
    if number.isdecimal():
        return _plain(number)
    if number in _ENGLISH:
        return _ENGLISH[number]
    roman = _ROMAN.match(number)
    if roman and number:
        values = [_ROMAN_VALUES[sign] for sign in number]
        following = [*values[1:], 0]
        return str(sum(-one if one < after else one for one, after in zip(values, following, strict=True)))
    return _han_value(number) if number[0] in _DIGITS or number[0] in _TENS else number


def _plain(digits: str) -> str:
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


# ── Clusters ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Texts:
    """Texts side by side, in the order that they take their turns in."""

    signatures: Signatures
    marks: Sequence[Marks]
    langs: Sequence[str]
    hours: npt.NDArray[np.float64]  # of first ingestion, on one clock

    def __len__(self) -> int:
        return len(self.marks)


@dataclass(frozen=True)
class Joined:
    """Where each text went."""

    leader: Indices  # position among leaders and texts, leaders first; a text's own: it leads
    similarity: npt.NDArray[np.float64]  # to its leader, estimated; 1: it leads
    vetoed: npt.NDArray[np.bool_]  # it was like a leader, and the marks contradicted; it leads


def may_be_alike(leader_bands: Signatures, text_bands: Signatures) -> npt.NDArray[np.bool_]:
    """Which of the leaders share a band with one of the texts: those that have to be looked at."""
    found = np.zeros(len(leader_bands), dtype=bool)
    for band in range(BANDS):
        found |= np.isin(leader_bands[:, band], text_bands[:, band])
    return found


def join(leaders: Texts, texts: Texts, *, similarity: float, hours: float) -> Joined:
    """Let each text in turn join the leader that it is most like; the earlier one where two are equally so.

    A leader is of the same language, first ingested within `hours` of the text, has at least this share of its shingles,
    and marks that do not contradict the text's. Linear in the texts but for crowds, which are cut at CROWD.
    """
    every = Texts(
        signatures=np.concatenate([leaders.signatures, texts.signatures]),
        marks=[*leaders.marks, *texts.marks],
        langs=[*leaders.langs, *texts.langs],
        hours=np.concatenate([leaders.hours, texts.hours]),
    )
    known = len(leaders)
    keys = bands(every.signatures).astype(np.int64) | (np.arange(BANDS, dtype=np.int64) << 32)
    buckets: dict[int, list[int]] = defaultdict(list)
    leader = np.arange(len(every), dtype=np.int64)
    alike = np.ones(len(every), dtype=np.float64)
    vetoed = np.zeros(len(every), dtype=bool)
    for position in range(len(every)):
        mine = keys[position].tolist()
        if position >= known:
            candidates = sorted({other for key in mine for other in buckets.get(key, ())[-CROWD:]})
            for other, share in _by_likeness(every, position, candidates, similarity, hours):
                if every.marks[position].contradict(every.marks[other]):
                    vetoed[position] = True
                    continue
                leader[position], alike[position], vetoed[position] = other, share, False
                break
        if leader[position] == position:
            for key in mine:
                buckets[key].append(position)
    return Joined(leader[known:], alike[known:], vetoed[known:])


def _by_likeness(
    every: Texts, position: int, candidates: Sequence[int], similarity: float, hours: float
) -> list[tuple[int, float]]:
    """The candidates that are like this text, with their likeness, the most alike first."""
    if not candidates:
        return []
    others = np.asarray(candidates, dtype=np.int64)
    shares = (every.signatures[others] == every.signatures[position]).mean(axis=1)
    near = np.abs(every.hours[others] - every.hours[position]) <= hours
    found = [
        (int(other), float(share))
        for other, share, is_near in zip(others, shares, near, strict=True)
        if is_near and share >= similarity and every.langs[other] == every.langs[position]
    ]
    return sorted(found, key=lambda one: -one[1])
