"""The pairs that are scored: real articles against standing topics, cut once for every contender.

Articles come from the corpus beside the repository (../shared/data/news) where it is there, else from the bundled
sample. Each document is cut to the token limit before anything is measured, at a place where it encodes to no more
than the limit: every contender then reads the same token ids, and none has cutting to do.
"""

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

from real_vocabulary import DATA

from rerank_core.models.prompt import Prompter
from rerank_core.records import Document, Pair
from rerank_core.settings import DEMO_CHECKPOINT

SAMPLE = DEMO_CHECKPOINT.parent / "sample"
NEWS = DATA / "news"
MONTH = date(2026, 11, 1)
LONG_CHARACTERS = 3000  # a body that fills the token limit in Chinese and in English


@dataclass(frozen=True)
class Workload:
    """Pairs of one kind, topic by topic."""

    name: str
    pairs: tuple[Pair, ...]


def corpus() -> str:
    """Which articles are read, in words."""
    if NEWS.is_dir():
        return "Chinese broadcast news and English newswire, alternating"
    return "the bundled sample (Chinese and English)"


def raw_articles() -> Iterator[dict[str, Any]]:
    """Articles with title, body (plain or HTML), lang and url, Chinese and English alternating."""
    if not NEWS.is_dir():
        with (SAMPLE / "articles.jsonl").open() as lines:
            yield from map(json.loads, lines)
        return
    chinese = _lines(NEWS / "zh_broadcast_2024-10_2025-10.jsonl.gz", body="body_html", lang="zh")
    english = _lines(NEWS / "en_reuters21578.jsonl.gz", body="text", lang="en")
    for couple in zip_longest(chinese, english):
        yield from (article for article in couple if article is not None)


def _lines(file: Path, *, body: str, lang: str) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            if row["title"]:
                yield {
                    "article_id": f"{lang}-{row['id']}",
                    "title": row["title"],
                    "body": row[body],
                    "lang": lang,
                }


def queries() -> list[tuple[str, str]]:
    """(instruction, query) of the sample's topics, in each language they are asked in."""
    from rerank_core.storage.topics_file import load_topics

    found = []
    for topic in load_topics(SAMPLE / "topics.yaml"):
        found += [(topic.instruction, query) for query in (topic.query, *topic.queries.values())]
    return found


def build(
    prompter: Prompter, *, mixed: tuple[int, int], headlines: tuple[int, int], long: tuple[int, int]
) -> list[Workload]:
    """The three workloads, each with the given numbers of topics and of articles a topic."""
    wanted = max(mixed[1], headlines[1], long[1])
    documents = _documents(at_least=wanted, long=long[1])
    random.Random(20261122).shuffle(documents)
    titles = [document.title for document in documents]
    texts = [document.text for document in documents]
    bodies = [text for text in texts if len(text) >= LONG_CHARACTERS] or sorted(texts, key=len)[-long[1] :]
    return [
        Workload("headlines", pair_up(prompter, titles, *headlines)),
        Workload("mixed", pair_up(prompter, texts, *mixed)),
        Workload("long bodies", pair_up(prompter, bodies, *long)),
    ]


def titles(wanted: int) -> list[str]:
    """So many different headlines; where the corpus has fewer, they come again with a number."""
    found = list(dict.fromkeys(row["title"] for row in raw_articles()))
    return [
        found[n] if n < len(found) else f"{found[n % len(found)]} ({n // len(found)})" for n in range(wanted)
    ]


def _documents(*, at_least: int, long: int) -> list[Document]:
    from rerank_core.prepare.documents import Unpreparable, to_document  # a GPU machine may lack its packages

    documents: list[Document] = []
    found = 0
    for row in raw_articles():
        try:
            document = to_document(
                title=row["title"], summary=row.get("summary"), body=row["body"], lang=row["lang"]
            )
        except Unpreparable:  # no text, as a run would find
            continue
        documents.append(document)
        found += len(document.text) >= LONG_CHARACTERS
        if len(documents) >= max(4 * at_least, 200) and found >= long:
            break
    return documents


def pair_up(prompter: Prompter, texts: Sequence[str], topics: int, articles: int) -> tuple[Pair, ...]:
    """`topics` × `articles` pairs, topic by topic; fewer where there are fewer texts."""
    limit = prompter._limits["document"]
    chosen = [cut(prompter, text, limit) for text in texts[:articles]]
    return tuple(
        Pair(query_id, document_id, MONTH, instruction, query, text)
        for query_id, (instruction, query) in enumerate(queries()[:topics])
        for document_id, text in enumerate(chosen)
    )


def cut(prompter: Prompter, text: str, limit: int) -> str:
    """The longest start of a text, found by halving, that encodes to at most `limit` ids."""
    fits, too_long = 0, len(text) + 1
    if len(prompter._encoder.encode(f" {text}", max_tokens=limit + 1)[0]) <= limit:
        return text
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        ids, _ = prompter._encoder.encode(f" {text[:middle]}", max_tokens=limit + 1)
        fits, too_long = (middle, too_long) if len(ids) <= limit else (fits, middle)
    return text[:fits].rstrip()
