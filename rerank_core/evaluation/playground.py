"""Score a few texts by hand, with the scorer that runs use.

The scorer belongs to one thread, so it scores one request at a time.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import RowMapping

from rerank_core.errors import EngineError, InputError, RerankError
from rerank_core.models import scorers
from rerank_core.models.base import Scorer, probability
from rerank_core.models.prompt import Prompter
from rerank_core.models.vision import QWEN3_VL
from rerank_core.prepare.answers import Looked, NoAnswer
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.helpers import Helpers
from rerank_core.prepare.language import language
from rerank_core.prepare.media import look_at_file
from rerank_core.prepare.prepare import limits_of
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
    pictures: tuple[str, ...] = ()  # paths of the renditions that the model reads with it


@dataclass(frozen=True)
class Pictured:
    """What one of the texts gets to be scored with: a file that somebody uploads, or an article's pictures."""

    number: int  # of the text's field, from 1
    upload: bytes | None = None  # a picture or a clip, as it came
    article_id: str = ""


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
            pictures=entry.pictures,
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
            instruction=pair.instruction,
            query=pair.query,
            document=pair.document[:middle],
            pictures=pair.pictures,
        )
        low, high = (low, middle - 1) if prompt.truncated else (middle, high)
    return low


def _id(typed: str) -> str:
    """The id of an article, without what Postgres does not take in a text."""
    return typed.replace("\0", "").encode("utf-8", "replace").decode().strip()


class Playground:
    """The scorer in a thread of its own, and the texts that it is asked about."""

    def __init__(self, settings: Settings) -> None:
        """Start the engine. Raises ModelError for a checkpoint that must not be used."""
        self.settings = settings
        self._database = Database(settings.database_url)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")
        self._scorer: Scorer | None = None
        self._uploads: dict[str, bytes] = {}  # renditions of the request that is scored
        # None starts before a file comes.
        self._helpers = Helpers(1, cleaning=Cleaning(), limits=limits_of(settings))
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
        self._helpers.close()

    @property
    def blind(self) -> str | None:
        """Why no picture can be scored, in a sentence; None if pictures can."""
        if self._family == QWEN3_VL.name:
            return None
        return f"Pictures are off: {self._family} reads texts alone; start the playground with --model and a Qwen3-VL-Reranker."

    def topics(self) -> list[Topic]:
        """The pipeline's topics; none if there are none or the database does not answer."""
        try:
            with self._database.transaction(read_only=True) as connection:
                return topics.current_topics(connection, self.settings.pipeline)
        except Exception:  # whatever is wrong with the database, texts can be scored
            return []

    def ask(
        self,
        slug: str,
        query: str,
        instruction: str,
        fields: Sequence[str],
        pictured: Pictured | None = None,
    ) -> Answer:
        """Score what was typed. Raises InputError if something is missing or a picture is refused, EngineError if the engine fails."""
        asked = self._topic(slug, query, instruction)
        entries = [
            self._entry(number, field) for number, field in enumerate(fields, start=1) if field.strip()
        ]
        if not entries:
            raise InputError(f"there is no text to score; type one, or {ARTICLE} and the id of an article")
        if len(entries) > MOST_TEXTS:
            raise InputError(f"{len(entries)} texts are too many; {MOST_TEXTS} is the most")
        uploads: dict[str, bytes] = {}
        if pictured is not None:
            entries, uploads = self._with_picture(entries, pictured)
        return self._thread.submit(self._score, asked, entries, uploads).result()

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

    def _with_picture(
        self, entries: Sequence[Entry], pictured: Pictured
    ) -> tuple[list[Entry], dict[str, bytes]]:
        """The entries, one of them with more pictures, and the rendition of an upload: path → content."""
        if self.blind:
            raise InputError(self.blind)
        if pictured.number not in {entry.number for entry in entries}:
            raise InputError(
                f"text {pictured.number} has a picture and no text; type one, or choose another text"
            )
        if pictured.upload is not None and pictured.article_id.strip():
            raise InputError(
                "there are an upload and an article to take pictures from; leave one of them out"
            )
        uploads: dict[str, bytes] = {} if pictured.upload is None else self._uploaded(pictured.upload)
        paths = tuple(uploads) or self._pictures_of(_id(pictured.article_id))
        return [
            replace(entry, pictures=tuple(dict.fromkeys((*entry.pictures, *paths))))
            if entry.number == pictured.number
            else entry
            for entry in entries
        ], uploads

    def _uploaded(self, content: bytes) -> dict[str, bytes]:
        """What a helper makes of a file: path → content. Raises InputError with the reason that prepare would count."""

        def ask(question: bytes) -> Looked | NoAnswer:
            try:
                return self._helpers.ask(question, Looked)
            except NoAnswer as reason:
                return reason

        seen = look_at_file(content, self.settings, ask)
        if seen.rendition is None:
            raise InputError(f"the picture is dropped, {seen.bucket}: {seen.outcome.partition(': ')[2]}")
        return {seen.rendition.path: seen.rendition.content}

    def _pictures_of(self, article_id: str) -> tuple[str, ...]:
        rows = self._read("playground.pictures", article_id)
        if not rows:
            raise InputError(
                f"article {article_id!r} has no pictures in pipeline {self.settings.pipeline}; check the id, and RERANK_MEDIA"
            )
        return tuple(row["path"] for row in rows)

    def _entry(self, number: int, field: str) -> Entry:
        if not field.strip().startswith(ARTICLE):
            return Entry(number, field, language(field, claimed=None).code)
        article_id = _id(field.strip().removeprefix(ARTICLE))
        rows = self._read("playground.document", article_id)
        if not rows:
            raise InputError(
                f"text {number}: article {article_id!r} has no prepared text in pipeline {self.settings.pipeline}; check"
                " the id, or wait for the next run"
            )
        (row,) = rows
        return Entry(number, row["text"], row["lang"], () if self.blind else tuple(row["pictures"]))

    def _read(self, statement: str, article_id: str) -> Sequence[RowMapping]:
        """The rows of a named statement about an article of the pipeline."""
        with self._database.transaction(read_only=True) as connection:
            return db.rows(connection, statement, pipeline=self.settings.pipeline, article_id=article_id)

    def _load(self) -> Scorer:
        self._scorer = scorers.load(self.settings, beside=self._uploads)
        self._family = self._scorer.identity.family
        return self._scorer

    def _score(self, topic: Topic, entries: Sequence[Entry], uploads: Mapping[str, bytes]) -> Answer:
        scorer = self._scorer or self._load()
        self._uploads.clear()
        self._uploads.update(uploads)
        try:
            return score(
                scorer,
                topic=topic,
                entries=entries,
                prompter=lambda: scorers.prompter(self.settings),
            )
        except RerankError:  # of the engine, or of the store that it reads pictures from
            self._scorer = None  # an engine that failed is finished: the next request builds another
            scorer.close()
            raise
