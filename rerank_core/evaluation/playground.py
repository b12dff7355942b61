"""Score a few texts by hand, with the scorer that runs use.

The scorer belongs to one thread, so it scores one request at a time.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

from rerank_core.errors import EngineError, InputError
from rerank_core.models import scorers
from rerank_core.models.base import Scorer, probability
from rerank_core.models.prompt import Prompter
from rerank_core.prepare.language import language
from rerank_core.records import DEFAULT_INSTRUCTION, Pair, Topic
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import topics
from rerank_core.storage.database import Database

MOST_TEXTS = 10
SECONDS = 120.0  # that one request may score
ARTICLE = "article:"  # an entry that begins so names an article of the pipeline


@dataclass(frozen=True)
class Entry:
    """One text to score."""

    number: int  # of the field it was typed into, from 1
    text: str
    lang: str


@dataclass(frozen=True)
class Scored:
    """One text with what the scorer found; the logit is None if the scorer refused the text."""

    entry: Entry
    query: str  # of the text's language
    logit: float | None
    read: int  # about how many characters the model read; all if nothing was cut
    reason: str | None  # why it was refused

    @property
    def probability(self) -> float | None:
        """sigmoid(logit)."""
        return None if self.logit is None else probability(self.logit)


@dataclass(frozen=True)
class Answer:
    """Texts in order, best first, refused ones last."""

    scored: tuple[Scored, ...]
    seconds: float
    prompt_tokens: int
    engine: str


def score(
    scorer: Scorer, *, topic: Topic, entries: Sequence[Entry], prompter: Callable[[], Prompter] | None = None
) -> Answer:
    """Score each text against the topic's query in its language. `prompter` tells how much of a cut text was read.

    Raises EngineError if the engine fails, or does not score all texts within SECONDS.
    """
    pairs = [
        Pair(
            query_id=1,
            document_id=entry.number,
            month=date.min,
            instruction=topic.instruction,
            query=topic.query_for(entry.lang),
            document=entry.text,
        )
        for entry in entries
    ]
    began = time.monotonic()
    chunks = list(scorer.score(pairs, flush_seconds=math.inf, deadline=began + SECONDS))
    seconds = time.monotonic() - began
    scores = {found.pair.document_id: found for chunk in chunks for found in chunk.scores}
    refused = {refusal.pair.document_id: refusal.reason for chunk in chunks for refusal in chunk.refused}
    if len(scores) + len(refused) < len(pairs):
        raise EngineError(f"not all texts were scored within {SECONDS:.0f} s; give fewer or shorter ones")
    results = []
    for entry, pair in zip(entries, pairs, strict=True):
        found = scores.get(entry.number)
        read = len(entry.text)
        if found is not None and found.truncated:
            read = characters_read(prompter(), pair) if prompter else 0
        results.append(
            Scored(entry, pair.query, found.logit if found else None, read, refused.get(entry.number))
        )
    results.sort(key=lambda scored: (scored.logit is None, -(scored.logit or 0.0), scored.entry.number))
    return Answer(tuple(results), seconds, sum(s.prompt_tokens for s in scores.values()), scorer.engine)


def characters_read(prompter: Prompter, pair: Pair) -> int:
    """About how many characters of a cut document the model read: the longest beginning that the prompter does not cut."""
    low, high = 0, len(pair.document)
    while low < high:
        middle = (low + high + 1) // 2
        prompt = prompter.prompt(
            instruction=pair.instruction, query=pair.query, document=pair.document[:middle]
        )
        low, high = (low, middle - 1) if prompt.truncated else (middle, high)
    return low


class Playground:
    """The scorer in a thread of its own, and the texts that it is asked about."""

    def __init__(self, settings: Settings) -> None:
        """Start the engine. Raises ModelError for a checkpoint that must not be used."""
        self.settings = settings
        self._database = Database(settings.database_url)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")
        self._scorer: Scorer | None = None
        try:
            self._thread.submit(self._load).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def close(self) -> None:
        """Give the engine back."""
        if self._scorer is not None:
            self._thread.submit(self._scorer.close).result()
        self._thread.shutdown()

    def topics(self) -> list[Topic]:
        """The pipeline's topics; none if there are none or the database does not answer."""
        try:
            with self._database.transaction(read_only=True) as connection:
                return topics.current_topics(connection, self.settings.pipeline)
        except Exception:  # whatever is wrong with the database, texts can be scored
            return []

    def ask(self, slug: str, query: str, instruction: str, fields: Sequence[str]) -> Answer:
        """Score what was typed. Raises InputError if something is missing, EngineError if the engine fails."""
        asked = self._topic(slug, query, instruction)
        entries = [
            self._entry(number, field) for number, field in enumerate(fields, start=1) if field.strip()
        ]
        if not entries:
            raise InputError(f"there is no text to score; type one, or {ARTICLE} and the id of an article")
        if len(entries) > MOST_TEXTS:
            raise InputError(f"{len(entries)} texts are too many; {MOST_TEXTS} is the most")
        return self._thread.submit(self._score, asked, entries).result()

    def _topic(self, slug: str, query: str, instruction: str) -> Topic:
        told = instruction.strip() or DEFAULT_INSTRUCTION
        if query.strip():
            return Topic(slug="query", query=query.strip(), instruction=told)
        if not slug:
            raise InputError("there is nothing to ask; choose a topic or type a query")
        found = next((topic for topic in self.topics() if topic.slug == slug), None)
        if found is None:
            raise InputError(
                f"topic {slug!r} is not active in pipeline {self.settings.pipeline}; `rerank topics list` shows those that are"
            )
        if not instruction.strip():
            return found
        return Topic(slug=slug, query=found.query, queries=found.queries, instruction=told)

    def _entry(self, number: int, field: str) -> Entry:
        if not field.strip().startswith(ARTICLE):
            return Entry(number, field, language(field, claimed=None).code)
        article_id = field.strip().removeprefix(ARTICLE).strip()
        with self._database.transaction(read_only=True) as connection:
            row = db.one(
                connection,
                "playground.document",
                pipeline=self.settings.pipeline,
                article_id=article_id.replace("\0", ""),
            )
        if row is None:
            raise InputError(
                f"text {number}: article {article_id!r} has no prepared text in pipeline {self.settings.pipeline}; check"
                " the id, or wait for the next run"
            )
        return Entry(number, row["text"], row["lang"])

    def _load(self) -> Scorer:
        self._scorer = scorers.load(self.settings)
        return self._scorer

    def _score(self, topic: Topic, entries: Sequence[Entry]) -> Answer:
        scorer = self._scorer or self._load()
        try:
            return score(
                scorer,
                topic=topic,
                entries=entries,
                prompter=lambda: scorers.prompter(self.settings),
            )
        except EngineError:
            self._scorer = None  # an engine that failed is finished: the next request builds another
            scorer.close()
            raise
