"""The canary: a few pairs whose right order is known. They are scored before any other pair.

A wrong template, a wrong precision or untrained weights still give numbers, and the numbers still sort. If the canary of
a scorer comes out in the wrong order, nothing is scored with it.

A checkpoint may bring a file `canary.json`. Without the file, its family's are used:

    {"tolerance": 0.01,
     "cases": [{"query": "…", "documents": ["best", "…", "worst"], "logits": [4.1, 0.3, −5.2]}]}

For models that read pictures, `"pictures": [["red"], ["blue"]]` puts plain pictures of these colours before the documents.
A case may have an `instruction`. `logits` and `tolerance` are optional. If both are given, each logit must be within
`tolerance` of the recorded logit.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from rerank_core.errors import ModelError
from rerank_core.records import DEFAULT_INSTRUCTION, Pair

FILE_NAME = "canary.json"


@dataclass(frozen=True)
class Case:
    """One query with documents, from the best to the worst."""

    query: str
    documents: tuple[str, ...]
    instruction: str = DEFAULT_INSTRUCTION
    logits: tuple[float, ...] | None = None  # recorded, one a document
    pictures: tuple[tuple[str, ...], ...] = ()  # names of the pictures of each document; (): there are none


@dataclass(frozen=True)
class Canary:
    """All cases of a canary."""

    cases: tuple[Case, ...]
    source: str  # the file that they come from, for messages
    tolerance: float | None = None  # in logits

    def pairs(self) -> list[Pair]:
        """One pair a document. `query_id` is the number of the case, `document_id` the place in the case."""
        return [
            Pair(
                number,
                place,
                date.min,
                case.instruction,
                case.query,
                document,
                *case.pictures[place : place + 1],
            )
            for number, case in enumerate(self.cases)
            for place, document in enumerate(case.documents)
        ]

    def check(self, logits: Mapping[tuple[int, int], float]) -> float:
        """Check the logits, given by (case, place); returns the least difference between two neighbours, in logits.

        Raises ModelError if a logit is missing or out of tolerance, or if the order is wrong.
        """
        margins = []
        for number, case in enumerate(self.cases):
            by_place = [logits.get((number, place)) for place in range(len(case.documents))]
            scored = [logit for logit in by_place if logit is not None]
            shown = ", ".join("none" if logit is None else f"{logit:.3f}" for logit in by_place)
            where = f"canary case {number} ({self.source}): logits {shown}"
            advice = "the checkpoint, its prompt or its precision is wrong; correct RERANK_MODEL or RERANK_PRECISION"
            if len(scored) < len(by_place):
                raise ModelError(f"{where}: not all pairs were scored: {advice}")
            if any(better <= worse for better, worse in pairwise(scored)):
                raise ModelError(f"{where}, expected descending: {advice}")
            margins += [better - worse for better, worse in pairwise(scored)]
            if case.logits is not None and self.tolerance is not None:
                error = max(abs(got - want) for got, want in zip(scored, case.logits, strict=True))
                if error > self.tolerance:
                    want = ", ".join(f"{logit:.3f}" for logit in case.logits)
                    raise ModelError(f"{where}, expected {want} within {self.tolerance}: {advice}")
        return min(margins)


DEFAULT = Canary(
    source="built in",
    cases=(
        Case(
            query="What is the capital of China?",
            documents=(
                "The capital of China is Beijing.",
                "Gravity is a force that attracts two bodies towards each other.",
            ),
        ),
        Case(
            query="央行下调存款准备金率",
            documents=(
                "中国人民银行宣布下调金融机构存款准备金率0.5个百分点，释放长期资金约1万亿元。",
                "国家队在昨晚的女排比赛中以三比一战胜对手，晋级决赛。",
            ),
        ),
    ),
)

ENGLISH = Canary(  # for families that learned English only
    source="built in, English",
    cases=(
        DEFAULT.cases[0],
        Case(
            query="central bank cuts interest rates",
            documents=(
                "The central bank lowered its key interest rate by half a point on Thursday.",
                "The visitors won the volleyball final by three sets to one.",
            ),
        ),
    ),
)

PICTURED = Canary(  # for families that read pictures
    source="built in, with pictures",
    cases=(
        *DEFAULT.cases,
        Case(query="a plain red picture", documents=("", ""), pictures=(("canary:red",), ("canary:blue",))),
    ),
)


def read_canary(folder: Path, *, default: Canary = DEFAULT) -> Canary:
    """The canary of the checkpoint, or `default`. Raises ModelError if the file is damaged."""
    file = folder / FILE_NAME
    if not file.exists():
        return default
    try:
        content = json.loads(file.read_bytes())
        cases = tuple(_case(entry) for entry in content["cases"])
        tolerance = content.get("tolerance")
        if not cases:
            raise ValueError("no cases")
        return Canary(cases, str(file), None if tolerance is None else float(tolerance))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} is damaged ({error}); copy the checkpoint again") from None


def _case(entry: Mapping[str, Any]) -> Case:
    documents = _texts(entry["documents"])
    logits = None if entry.get("logits") is None else tuple(map(float, entry["logits"]))
    pictures = tuple(tuple(f"canary:{colour}" for colour in _texts(of)) for of in entry.get("pictures", ()))
    if len(documents) < 2 or (logits is not None and len(logits) != len(documents)):
        raise ValueError("a case needs at least two documents, and one logit a document, if any")
    if pictures and len(pictures) != len(documents):
        raise ValueError("a case needs one list of pictures a document, if any")
    return Case(
        str(entry["query"]), documents, str(entry.get("instruction", DEFAULT_INSTRUCTION)), logits, pictures
    )


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("documents is not a list of texts")
    return tuple(values)
