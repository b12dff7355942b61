"""The terms `must` and `must_not` of topics: which texts have a term.

Python matches, because the regular expressions of Postgres depend on the locale of the database. A term and a text are
folded by one function (prepare/terms.py), so case, width, quotes, hyphens and composition do not matter.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import regex
from sqlalchemy import Connection

from rerank_core.prepare.terms import HAN, HANGUL, KANA, UNSPACED, folded
from rerank_core.recall.base import Mask
from rerank_core.records import Topic
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids

BATCH = 1_000  # documents whose texts are read at a time

# Letters, marks and digits of the scripts that put spaces between words.
_WORD = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{HAN}{KANA}{HANGUL}{UNSPACED}]]"
_IN_WORD = regex.compile(_WORD, regex.VERSION1)
_ONE_LETTER = regex.compile(rf"(?<!{_WORD}){_WORD}$", regex.VERSION1)
_SPACES = regex.compile(r"\s+")
_JOINER = "\u200c"


class Finder:
    """Says whether a text has a term."""

    def __init__(self, term: str) -> None:
        """A term of letters matches whole words of its own script: `AI` is neither in `said` nor in `đai`.

        Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese terms match anywhere, because these scripts do not
        part their words, or add endings to them.
        """
        plain = _comparable(term).replace(_JOINER, "").strip()
        may_join = (
            regex.search(r"\p{Arabic}", plain) is not None
        )  # a joiner may stand between any two letters
        self._needs = "" if may_join else plain  # a text without it lacks the term: quicker than the pattern
        before = f"(?<!{_WORD})" if _IN_WORD.match(plain[:1]) else ""
        after = f"(?!{_WORD})" if _IN_WORD.match(plain[-1:]) else ""
        if _ONE_LETTER.search(plain):
            after += r"(?!\+\+|\#)"  # C is not C++
        literal = (f"{_JOINER}?" if may_join else "").join(map(regex.escape, plain))
        self._pattern = regex.compile(before + literal + after, regex.VERSION1)

    def found_in(self, comparable: str) -> bool:
        """Whether a text in its comparable form has the term."""
        return self._needs in comparable and self._pattern.search(comparable) is not None


def _comparable(text: str) -> str:
    """The form in which terms and texts are compared: folded, with one space for any white space, and `i` for `ı`."""
    return str(_SPACES.sub(" ", folded(text))).replace("ı", "i")


def has_term(text: str, term: str) -> bool:
    """Whether a document's text has a term."""
    return Finder(term).found_in(_comparable(text))


class Filters:
    """Which documents have each term of some topics. The texts are read once, for all terms together."""

    def __init__(self, connection: Connection, topics: Iterable[Topic], document_ids: Ids) -> None:
        """Reads nothing if no topic has a term. A document whose text is gone passes no topic that has a term."""
        finders = {term: Finder(term) for topic in topics for term in (*topic.must, *topic.must_not)}
        places: dict[str, list[int]] = {term: [] for term in finders}
        gone: list[int] = []
        for start in range(0, len(document_ids) if finders else 0, BATCH):
            batch: Sequence[int] = document_ids[start : start + BATCH].tolist()
            texts = {
                row["document_id"]: row["text"]
                for row in db.rows(connection, "filters.texts", document_ids=batch)
            }
            for place, document_id in enumerate(batch, start):
                if document_id not in texts:
                    gone.append(place)
                    continue
                comparable = _comparable(texts[document_id])
                for term, finder in finders.items():
                    if finder.found_in(comparable):
                        places[term].append(place)
        self._count = len(document_ids)
        self._places = {term: np.asarray(found, dtype=np.int64) for term, found in places.items()}
        self._gone = np.asarray(gone, dtype=np.int64)

    def passed(self, topic: Topic) -> Mask:
        """Which documents have every `must` term and no `must_not` term: bool, one entry a document."""
        passed = np.ones(self._count, dtype=bool)
        if topic.must or topic.must_not:
            passed[self._gone] = False
        for term in topic.must:
            passed &= self.having(term)
        for term in topic.must_not:
            passed[self._places[term]] = False
        return passed

    def having(self, term: str) -> Mask:
        """Which documents have a term of one of the topics: bool, one entry a document."""
        having = np.zeros(self._count, dtype=bool)
        having[self._places[term]] = True
        return having
