"""Pairs that the engine tests score."""

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

from rerank_core.models.base import Scorer
from rerank_core.records import Pair, Score

DOCUMENTS = [
    "The central bank cut its key rate by half a point.",
    "中国人民银行宣布下调存款准备金率，释放长期资金。",
    "A storm closed the port; ships wait outside the harbour.\n" * 3,
    "Goal!",
    "",
    "?",
    "The striker scored twice. " * 60,
    "Новости: дождь. أخبار. 뉴스 🎉",
]
QUERIES = ["What did the central bank decide?", "ships waiting at the port", "央行"]


def make_pairs(
    *, queries: Sequence[str] = QUERIES, documents: Sequence[str] = DOCUMENTS, instruction: str = "Find news."
) -> list[Pair]:
    return [
        Pair(q, d, date(2026, 11, 1), instruction, query, document)
        for q, query in enumerate(queries)
        for d, document in enumerate(documents)
    ]


def all_scores(scorer: Scorer, pairs: Sequence[Pair], **options: Any) -> list[Score]:
    chunks = list(scorer.score(pairs, **{"flush_seconds": math.inf, **options}))
    assert not any(chunk.refused for chunk in chunks)
    return [score for chunk in chunks for score in chunk.scores]
