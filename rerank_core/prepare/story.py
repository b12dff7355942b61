"""Story: a text as near-copies are compared, with its shingles, its words, its names and its negations.

What is a name?

| script | names |
|---|---|
| with capitals | words with a capital, if they have one within a sentence, too; all words of a text in capitals alone |
| Chinese | proper nouns of jieba's dictionary, and words that the dictionary lacks |
| others | all words |

Words are compared by their stems (Snowball), in languages that have a stemmer.
"""

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import regex

from rerank_core.prepare import chinese, shingles
from rerank_core.prepare.marks import MAX_TITLE, Marks, by_language, is_correction, marks
from rerank_core.prepare.shingles import is_sign
from rerank_core.prepare.terms import HAN

NEGATIONS = Path(__file__).parent / "rules" / "negations.txt"

NOUN_CAPITALS = ("de", "lb")  # languages in which every noun has a capital
OPENING = 3  # lines of a body in which a byline or a dateline may be
BYLINE = 8  # words of a byline, at most
DATELINE = 12  # words of a dateline, at most
BRACKET = 5  # words of a dateline before its bracket
LONGEST_WORD = 20  # characters of a Chinese word
FRAME = 20  # shingles at either end of a body that may be a credit

Place = tuple[int, int]  # the first word of a place, and the word behind the place

_SENTENCE = regex.compile(r"[.!?…:;\n¿¡。！？।]|\s[-–—]")  # a sentence begins behind it
_BREAK = regex.compile(
    r"[.!?…:;|\n()（）\[\]【】。！？।]|\s[-–—]|[-–—]\s"
)  # a sentence, or part of it, ends before it
_ENDED = regex.compile(r"[.!?…。！？।]")  # a sentence ends with it
_OPENED, _CLOSED = regex.compile(r"[(（【\[]"), regex.compile(r"[)）】\]]")
_DASH = regex.compile(r"\s[-–—]|[-–—]\s")  # a dateline ends with it
_CHINESE_DATELINE = "电讯"  # 新华社北京10月8日电, 本报讯
_TIME = regex.compile("[今昨明前后当][天日晚晨早]|[上下中]午|凌晨|傍晚|深夜|晚间|早上|晚上|近日|日前")
_ACCENTS = regex.compile(r"(?<=[\p{Latin}\p{Greek}\p{Cyrillic}])[\u0300-\u036f]+")
_HAN = regex.compile(f"[{HAN}]+", regex.VERSION1)
_HARMLESS = frozenset("不断 不少 不仅 不久 不过 不同 不但 不管 不一 非常 无论 无数 未来".split())
_GRAMMAR = regex.compile(r"[\p{Hiragana}的了是在和与也都就而及为被把这那吗呢着过은는이가을를의에도로와과]+")


class Story:
    """A document's text. `lang` is its language, ISO 639-1.

    Most comparisons need no more than the shingles; the rest is read when it is asked for.
    """

    def __init__(self, text: str, *, lang: str) -> None:
        self.lang = lang
        self.corrects = is_correction(text)
        self._text = shingles.comparable(text, lang=lang)
        self._found = shingles.places(self._text)
        self.words = shingles.fold([word for word, _ in self._found])
        starts = [start for _, start in self._found]
        self.body = bisect_left(starts, _end_of_title(self._text))  # the first word of the body
        self.length = shingles.length_of(self.words)  # words of a shingle
        hashes = shingles.shingles(self.words, self.length)
        self.shingles = frozenset(hashes.tolist())
        self.body_shingles = hashes[self.body :]  # one for each word at which a shingle begins

    @cached_property
    def marks(self) -> Marks:
        """Its figures, dates and the like, which two prints of one story share."""
        return marks(self._text, lang=self.lang)

    @cached_property
    def forms(self) -> list[str]:
        """The stem of each word."""
        return _stems(self.words, self.lang)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.forms).union(_pairs(self.words))

    @cached_property
    def _capital(self) -> list[bool]:
        return [word != word.lower() for word, _ in self._found]

    @cached_property
    def _is_cased(self) -> bool:
        """Whether the text has capitals, and does not consist of them."""
        small = sum(word == word.lower() != word.upper() for word, _ in self._found)
        return small > sum(self._capital) / 4 > 0

    @cached_property
    def _gaps(self) -> list[str]:
        """What is before each word."""
        return list(_gaps(self._text, self._found))

    @cached_property
    def _opens(self) -> list[bool]:
        return [gap != " " and bool(_SENTENCE.search(gap)) for gap in self._gaps]

    def similarity(self, other: "Story") -> float:
        """The Jaccard similarity of both texts: the share of all their shingles that both have, 0..1."""
        both = len(self.shingles & other.shingles)
        return both / max(1, len(self.shingles) + len(other.shingles) - both)

    def is_cut(self, other: "Story", *, length: float, contained: float) -> bool:
        """Whether one body is the other without its end.

        The shorter body has at least `length` of the longer body's length, and begins as it does. The longer body has at
        least `contained` of its shingles; a credit of the shorter body at either end does not count (FRAME).
        """
        short, long = sorted((self, other), key=lambda story: len(story.body_shingles))
        mine, theirs = short.body_shingles, long.body_shingles
        if len(mine) < length * len(theirs):
            return False
        common = np.flatnonzero(np.isin(mine, theirs))
        opening = np.isin(theirs[: len(theirs) // 4], mine)
        if not len(common) or 2 * opening.sum() < len(opening):
            return False
        frame = min(FRAME, len(mine) // 8)
        within = len(mine) - min(frame, int(common[0])) - min(frame, len(mine) - 1 - int(common[-1]))
        return len(common) >= contained * within

    def has(self, word: str) -> bool:
        """Whether the text has this word, in any form."""
        return _is_among(word, self._known)

    def lacks(self, words: Set[str]) -> set[str]:
        """Those of the words that the text does not have."""
        return {word for word in words if not self.has(word)}

    def lacks_names(self, names: Set[str]) -> set[str]:
        """Those of the names that the text does not have as names: "Athletic", if it says "athletic" alone."""
        return {name for name in names if not _is_among(name, self._named)}

    @cached_property
    def _named(self) -> Set[str]:
        if not self._is_cased:
            return self._known
        named = {form for form, capital in zip(self.forms, self._capital, strict=True) if capital}
        return named.union(_pairs(self.words))

    def rest_of_sentence(self, first: int) -> Place:
        """What follows in the sentence of the word before; nothing if a sentence, or a bracket, begins here."""
        behind = first
        while behind < len(self.words) and not _BREAK.search(self._gaps[behind]):
            behind += 1
        return first, behind

    @property
    def title(self) -> Place:
        """The place of the title."""
        return 0, self.body

    @cached_property
    def title_words(self) -> set[str]:
        """The words of the title that say something, as stems, and its pairs of characters."""
        return self.contents(self.title) | self._pairs(self.title)

    @cached_property
    def told_title_words(self) -> set[str]:
        """The words of the title that the body has, too. Another headline of the same body adds none."""
        body = frozenset(self.forms[self.body :]).union(_pairs(self.words[self.body :]))
        return {word for word in self.title_words if _is_among(word, body)}

    def title_names(self, place: Place) -> set[str]:
        """The names at a place of the title. If only some words of the title have a capital, its first may be a name."""
        if not self._is_cased or self.has_capital_title:
            return self.names(place)
        capital = (at for at in range(*place) if self._capital[at])
        return {self.forms[at] for at in capital if _says_something(self.words[at])}

    @cached_property
    def has_capital_title(self) -> bool:
        """Whether every long word of the title has a capital: then a capital tells nothing. In German, nouns have one."""
        length = 0 if self.lang in NOUN_CAPITALS else 3
        return all(self._capital[at] for at in range(self.body) if len(self.words[at]) > length)

    def contents(self, place: Place) -> set[str]:
        """The words at a place that say something, as stems: no numbers, no single letters, no grammar."""
        words = {self.forms[at] for at in self._told(place) if _says_something(self.words[at])}
        return words | (self._chinese(place) if self.lang == "zh" else self._pairs(place))

    def long_forms(self, place: Place, letters: int, capital: int) -> set[str]:
        """The stems of the words at a place that have so many letters before they are stemmed; fewer with a capital."""
        return {
            self.forms[at]
            for at in range(*place)
            if len(self.words[at]) >= (capital if self._is_cased and self._capital[at] else letters)
        }

    def capital_forms(self, place: Place) -> set[str]:
        """The stems of the words at a place that have a capital; none in a text of capitals or without them."""
        return {self.forms[at] for at in range(*place) if self._is_cased and self._capital[at]}

    def names(self, place: Place) -> set[str]:
        """The names at a place, as stems."""
        if self.lang == "zh":
            signs = {word for word in self._chinese(place) if chinese.is_name(word)}
        else:
            signs = self._pairs(place)
        names = (at for at in self._told(place) if self._may_be_name(at) and _says_something(self.words[at]))
        return {self.forms[at] for at in names} | signs

    def negations(self, place: Place) -> set[str]:
        """The words at a place that turn a statement round."""
        denying, here = negations(self.lang).words, self.words[slice(*place)]
        if self.lang == "zh":  # 不断, 非常
            harmless = denying & set("".join(self._chinese(place) & _HARMLESS))
            return set(denying.intersection(here) - harmless)
        signs = "".join(filter(is_sign, here))
        return {word for word in denying if word in here or (is_sign(word) and word in signs)}

    @cached_property
    def _credits(self) -> frozenset[int]:
        """The words of the opening lines that tell by whom and from where the text is, and nothing of the story.

        A byline is a short line that is no sentence. A dateline is the beginning of a line, up to a dash or a bracket.
        """
        gaps = self._gaps
        begins = [self.body, *(at for at in range(self.body + 1, len(gaps)) if "\n" in gaps[at])]
        found: set[int] = set()
        for first, behind in islice(pairwise([*begins, len(gaps)]), OPENING):
            is_sentence = behind == len(gaps) or _ENDED.search(gaps[behind])
            if not is_sentence and weight(self.words[first:behind]) <= BYLINE:
                found.update(range(first, behind))
            found.update(range(first, self._end_of_dateline(first, behind)))
        return frozenset(found)

    def _end_of_dateline(self, first: int, behind: int) -> int:
        """Where the dateline ends with which a line begins; where it begins, if it is none."""
        end, is_open = first, False
        for at in range(first + 1, behind):
            length = weight(self.words[first:at])
            gap = self._gaps[at]
            if length > DATELINE:
                break
            if gap and self.words[at - 1] in _CHINESE_DATELINE:
                end = at
            is_open |= bool(_OPENED.search(gap)) and (length <= BRACKET or end == at)
            if _DASH.search(gap) or (is_open and _CLOSED.search(gap)):
                return at
        return end

    def _told(self, place: Place) -> Iterator[int]:
        """The words at a place that are in no credit."""
        return (at for at in range(*place) if at not in self._credits)

    def _may_be_name(self, at: int) -> bool:
        return not self._is_cased or (self._capital[at] and self.forms[at] in self._capitalised)

    @cached_property
    def _capitalised(self) -> set[str]:
        """The words that have a capital within a sentence."""
        first = self.body if self.has_capital_title else 0
        capital = (at for at in range(first, len(self.words)) if self._capital[at])
        return {self.forms[at] for at in capital if not self._opens[at]}

    def _pairs(self, place: Place) -> set[str]:
        """Pairs of neighbouring characters that reach into a place, in scripts that are compared by characters."""
        pairs = _pairs(self.words[at] for at in self._told(place))
        return {pair for pair in pairs if not _GRAMMAR.fullmatch(pair)} | self._edge_pairs(place)

    def _edge_pairs(self, place: Place) -> set[str]:
        """The pairs of which one character is at the edge of a place: names may differ in one character alone."""
        first, behind = place
        edges = {(first - 1, first), (behind - 1, behind)} if first < behind else set()
        pairs = {
            self.words[one] + self.words[other]
            for one, other in edges
            if one >= 0
            and other < len(self.words)
            and not self._gaps[other]
            and is_sign(self.words[one])
            and is_sign(self.words[other])
            and not self._credits & {one, other}
        }
        return {pair for pair in pairs if not _GRAMMAR.search(pair)}

    def _chinese(self, place: Place) -> set[str]:
        """The Chinese words of two or more characters that reach into a place, without times of day."""
        first, behind = place
        begin = bisect_left(self._chinese_words, (first - LONGEST_WORD,))
        return {
            word
            for start, end, word in takewhile(lambda found: found[0] < behind, self._chinese_words[begin:])
            if end > first and start not in self._credits and not _TIME.search(word)
        }

    @cached_property
    def _chinese_words(self) -> list[tuple[int, int, str]]:
        """Each Chinese word of two or more characters, with its first character and the word behind it."""
        found = []
        for run in _HAN.finditer("".join(word if _HAN.fullmatch(word) else " " for word in self.words)):
            at = run.start()
            for word in chinese.words(run.group()):
                if len(word) > 1:
                    found.append((at, at + len(word), word))
                at += len(word)
        return found


def weight(words: Sequence[str]) -> float:
    """The number of words; a character of a script without spaces is half a word."""
    return sum(0.5 if is_sign(word) else 1.0 for word in words)


def _says_something(word: str) -> bool:
    return len(word) > 1 and not word[0].isnumeric() and not is_sign(word)


def _pairs(words: Iterable[str]) -> Iterator[str]:
    """Pairs of neighbouring characters, in scripts that are compared by characters."""
    return (one + other for one, other in pairwise(words) if is_sign(one) and is_sign(other))


def _is_among(word: str, known: Set[str]) -> bool:
    """Whether a word is known; a long word of characters is if its pairs are."""
    return word in known or (len(word) > 2 and is_sign(word) and all(pair in known for pair in _pairs(word)))


def _end_of_title(text: str) -> int:
    """Where the title ends: with the first line, unless it is too long for a title, or the only line."""
    end = text.find("\n")
    return end if 0 <= end <= MAX_TITLE else 0


def _gaps(text: str, found: Sequence[tuple[str, int]]) -> Iterator[str]:
    """What is before each word. The text begins as a sentence does."""
    end = -1
    for word, start in found:
        yield "\n" if end < 0 else text[end:start]
        end = start + len(word)


def _stems(words: Sequence[str], lang: str) -> list[str]:
    """The stem of each word, without accents."""
    stemmer = _stemmer(lang)
    stems = " ".join(words if stemmer is None else stemmer.stemWords(words))
    bare = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", stems)))
    return bare.split(" ")


@cache
def _stemmer(lang: str) -> Any:
    import Stemmer

    try:
        return Stemmer.Stemmer(lang)
    except KeyError:
        return None


@dataclass(frozen=True)
class Negations:
    """What turns a statement round in one language."""

    words: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()  # of words that are the opposite of the word without it
    opposites: frozenset[tuple[str, str]] = frozenset()  # each pair in both orders

    def are_opposite(self, word: str, other: str) -> bool:
        """Whether one word says the opposite of the other."""
        return (word, other) in self.opposites or any(
            word == beginning + other or other == beginning + word for beginning in self.beginnings
        )


def negations(lang: str) -> Negations:
    """The negations of a language; none if the list lacks the language."""
    return _every_negation().get(lang, Negations())


@cache
def _every_negation() -> dict[str, Negations]:
    found = {}
    for lang, listed in by_language(NEGATIONS).items():
        words = [shingles.fold([word])[0] for word in listed.split()]
        pairs = [tuple(word.split("/")) for word in words if "/" in word]
        found[lang] = Negations(
            frozenset(word for word in words if not word.endswith("-") and "/" not in word),
            tuple(word[:-1] for word in words if word.endswith("-")),
            frozenset((one, other) for pair in pairs for one, other in (pair, pair[::-1])),
        )
    return found
