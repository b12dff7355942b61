"""Veto: why two similar texts are two stories. Pure functions.

Both bodies are laid side by side, word by word. A *place* is what they say otherwise between the same words. Two texts are
two stories if one of these holds:

| veto | if |
|---|---|
| `marks` | their figures, dates or issue marks contradict each other (marks.py) |
| `titles` | each title has a word of its own body that the other text lacks; or, in two titles of one form, a name |
| `names` | at one place, each text has a name that the other text lacks |
| `swap` | two names have changed places |
| `negation` | at one place, or in two titles of one form, one text alone has a negation, or the opposite of the other's word |
| `outcome` | the bodies differ at one place only, and there each has a word that the other text lacks |

What one text alone tells is no veto: a credit, a byline, a paragraph that the other text leaves out. Bylines and datelines
of both texts are no veto either (story.py), nor is what follows behind the last sentence that both texts have in common:
there, each paper names itself.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice, product, takewhile

import numpy as np
import numpy.typing as npt

from rerank_core.prepare.shingles import Hashes, is_sign
from rerank_core.prepare.story import Place, Story, negations, weight

ONE_FORM = 0.7  # share of the words of two titles that are the same, in the same order
SHORT = 4  # words, or twice as many characters; what is longer is another sentence rather than another word
SHORT_NAME = 2  # words of a name in a short title, at most
SHORT_FORM = 1.5  # words beside it, at least
SHORT_TITLE = 8  # words of such a title, at most: of a longer one, the rest makes one form
NAMES = 12  # words of a place in which names may have changed places with those of another place
CAPITAL = 4  # letters of a word with a capital that tells an outcome: Iran, Iraq
LONG = 5  # letters of a word that tells an outcome: "guilty", "innocent"
SPELLING = 0.8  # likeness of the letters of one word in two spellings
MAX_SPELLED = (
    60  # letters; the work of a comparison grows with the square of its words, and no longer word is written
)

# Another day for the same day: a later print writes "Monday" for "today". Dates that contradict each other are marks.
_DAYS = frozenset(
    "today yesterday tomorrow tonight overnight monday tuesday wednesday thursday friday saturday sunday heute gestern morgen"
    " montag dienstag mittwoch donnerstag freitag samstag sonntag aujourd hui hier demain lundi mardi mercredi jeudi vendredi"
    " samedi dimanche hoy ayer mañana lunes martes miércoles jueves viernes sábado domingo oggi ieri domani hoje ontem amanhã"
    " сегодня вчера завтра понедельник вторник среду четверг пятницу субботу воскресенье आज कल सोमवार मंगलवार बुधवार गुरुवार"
    " शुक्रवार शनिवार रविवार اليوم أمس غدا 今天 昨天 明天 今日 昨日 明日 周一 周二 周三 周四 周五 周六 周日".split()
)


def veto(one: Story, other: Story) -> str | None:
    """Why the two similar texts are two stories; None: they print one story."""
    here_form, there_form = (story.forms[slice(*story.title)] for story in (one, other))
    matcher = SequenceMatcher(None, here_form, there_form, autojunk=False)
    # The quick ratio is never less, and most titles that repeat a word end with it: see MAX_SPELLED.
    same_form = matcher.quick_ratio() >= ONE_FORM and matcher.ratio() >= ONE_FORM
    if one.marks.contradict(other.marks, same_form=same_form):
        return "marks"
    if other.lacks(one.told_title_words) and one.lacks(other.told_title_words):
        return "titles"
    is_short = all(weight(story.words[slice(*story.title)]) <= SHORT_TITLE for story in (one, other))
    told = None
    if same_form or is_short:
        changed = [((a, b), (c, d)) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]
        told = (_veto_of_titles if same_form else _veto_of_short_titles)(one, other, changed)
    return told or _veto_of_places(one, other)


def _veto_of_titles(one: Story, other: Story, changed: Sequence[tuple[Place, Place]]) -> str | None:
    """The veto of two titles of one form, which differ at these places."""
    for here, there in changed:
        if other.lacks(one.title_names(here)) and one.lacks(other.title_names(there)):
            return "titles"
        hides_names = one.has_capital_title and other.has_capital_title
        if hides_names and len(changed) == 1 and _has_another_outcome(one, here, other, there):
            return "titles"
    denied, affirmed = one.negations(one.title), other.negations(other.title)
    is_else_the_same = not (one.title_words ^ other.title_words) - denied - affirmed
    return "negation" if bool(denied) != bool(affirmed) and is_else_the_same else None


def _veto_of_short_titles(one: Story, other: Story, changed: Sequence[tuple[Place, Place]]) -> str | None:
    """The veto of two titles that differ in a name alone, and are too short for one form: Quake hits Peru."""
    if not changed:
        return None
    told = [
        (story, (places[0][0], places[-1][1]))
        for story, places in zip((one, other), zip(*changed, strict=True), strict=True)
    ]
    for story, place in told:
        own = weight(story.words[slice(*place)])
        if own > SHORT_NAME or weight(story.words[slice(*story.title)]) - own < SHORT_FORM:
            return None
    mine, theirs = (story.title_names(place) for story, place in told)
    return "titles" if other.lacks(mine) and one.lacks(theirs) else None


def _veto_of_places(one: Story, other: Story) -> str | None:
    moved: set[tuple[str, str]] = set()
    told = set()
    has_outcome = False
    for here, there in _places(one, other):
        size = max(weight(one.words[slice(*here)]), weight(other.words[slice(*there)]))
        if size <= SHORT and _turns_round(one, here, other, there):
            return "negation"
        if _have_other_names(one, here, other, there):
            return "names"
        told.add((tuple(one.forms[slice(*here)]), tuple(other.forms[slice(*there)])))
        if size > NAMES:
            continue
        mine, theirs = one.names(here), other.names(there)
        pairs = set(product(mine - theirs, theirs - mine))
        if any((instead, name) in moved for name, instead in pairs):
            return "swap"
        moved |= pairs
        if size > SHORT:
            continue
        has_outcome = _has_another_outcome(one, here, other, there)
    return "outcome" if has_outcome and len(told) == 1 else None


def _have_other_names(one: Story, here: Place, other: Story, there: Place) -> bool:
    """Whether each text has a name at this place that the other text lacks. In Chinese, a name may be a plain word."""
    mine, theirs = other.lacks_names(one.names(here)), one.lacks_names(other.names(there))
    if one.lang == "zh" and (mine or theirs):
        mine, theirs = other.lacks(one.contents(here)), one.lacks(other.contents(there))
    return bool(mine and theirs)


def _turns_round(one: Story, here: Place, other: Story, there: Place) -> bool:
    """Whether one text alone has a negation at this place, or the opposite of a word of the other text."""
    if bool(one.negations(here)) != bool(other.negations(there)):
        return True
    words = product(one.words[slice(*here)], other.words[slice(*there)])
    return any(negations(one.lang).are_opposite(mine, theirs) for mine, theirs in words)


def _has_another_outcome(one: Story, here: Place, other: Story, there: Place) -> bool:
    """Whether each text has a word at this place that the other text lacks, and that is not the same word misspelt.

    Short words of an alphabet do not count: most are of grammar.
    """
    mine, theirs = (
        set(filter(is_sign, words)) | (words & story.long_forms(place, LONG, CAPITAL))
        for story, place, words in (
            (one, here, other.lacks(one.contents(here))),
            (other, there, one.lacks(other.contents(there))),
        )
    )
    days = _DAYS.intersection(one.words[slice(*here)] + other.words[slice(*there)])
    is_spelling = bool(days) or (
        not one.capital_forms(here) & mine
        and any(_are_spellings(word, instead) for word, instead in product(mine, theirs))
    )
    return bool(mine and theirs) and not is_spelling


def _are_spellings(word: str, instead: str) -> bool:
    """Whether two words are one word in two spellings."""
    if max(len(word), len(instead)) > MAX_SPELLED:
        return False
    return SequenceMatcher(None, word, instead).ratio() >= SPELLING


# ── Places ──────────────────────────────────────────────────────────────────────────────────────


def _places(one: Story, other: Story) -> Iterator[tuple[Place, Place]]:
    """What the bodies say otherwise between the same words: a place of each, one of them empty if it says nothing there.

    The same words are found from shingles that occur once in each body, in the same order in both. Behind the last of
    them, only the rest of their sentence counts.
    """
    mine, theirs = one.words[one.body :], other.words[other.body :]
    first = _common_length(mine, theirs, 0, 0)  # behind the last words that both have, in each body
    start = first
    for at, to in _anchors(one.body_shingles, other.body_shingles):
        if at < first or to < start:
            continue
        behind, end = at, to
        while behind > first and end > start and mine[behind - 1] == theirs[end - 1]:
            behind, end = behind - 1, end - 1
        if behind > first or end > start:
            yield (first + one.body, behind + one.body), (start + other.body, end + other.body)
        common = _common_length(mine, theirs, at, to)
        first, start = at + common, to + common
    if first:
        here, there = one.rest_of_sentence(first + one.body), other.rest_of_sentence(start + other.body)
        if here[1] > here[0] and there[1] > there[0]:
            yield here, there


def _common_length(mine: Sequence[str], theirs: Sequence[str], at: int, to: int) -> int:
    """How many words both have from these places on."""
    pairs = zip(islice(mine, at, None), islice(theirs, to, None), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _anchors(mine: Hashes, theirs: Hashes) -> list[tuple[int, int]]:
    """Where shingles are that occur once in each body: places in both bodies, the longest series that rises in both."""
    once, places = _single(mine)
    once_there, places_there = _single(theirs)
    _, here, there = np.intersect1d(once, once_there, assume_unique=True, return_indices=True)
    order = np.argsort(places[here])
    pairs = list(zip(places[here][order].tolist(), places_there[there][order].tolist(), strict=True))
    # Of the series of each length: the number of its last pair, so that the next pair may be as low as possible.
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [place]
        last[length : length + 1] = [number]
    series = []
    number = last[-1] if last else -1
    while number >= 0:
        series.append(pairs[number])
        number = before[number]
    return series[::-1]


def _single(hashes: Hashes) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """The shingles that occur once, ascending, and their places."""
    found, places, counts = np.unique(hashes, return_index=True, return_counts=True)
    return found[counts == 1], places[counts == 1]
