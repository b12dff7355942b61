"""One look at the current window, in a snapshot that is only read, and what each topic finds in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from rerank_core.prepare.language import language
from rerank_core.prepare.terms import words
from rerank_core.publish.hidden import hidden_articles
from rerank_core.publish.ranking import Clusters, Floats
from rerank_core.recall.base import Asked, Mask, Retriever
from rerank_core.recall.filters import Filters
from rerank_core.recall.strategy import open_retriever
from rerank_core.recall.window import (
    Chosen,
    Lexicon,
    Window,
    ask,
    find_eligible,
    in_a_language_of,
    read_members,
    search,
    takes_language,
)
from rerank_core.records import Run, Topic
from rerank_core.records import Window as Span
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import ledger, schemas, topics
from rerank_core.storage.artifacts import Ids, clusters_of
from rerank_core.storage.database import Database
from rerank_core.storage.languages import UNKNOWN, comparable

NO_RUN = 2**62  # later than every run, and no run's number
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Looked:
    """What one topic finds in the window. The arrays have one entry a member, except `chosen.order`."""

    topic: Topic  # with the pipeline's own min_score, if it has none
    query_ids: Ids
    light: Any  # BM25 scores, float32
    eligible: Mask
    chosen: Chosen
    logit: Floats  # NaN: no score
    refused: Mask  # the scorer has refused the pair
    by_words: Mask  # members that words alone can find for this topic
    hourly: float  # candidates of an hour, on average

    @property
    def ready(self) -> Mask:
        """Members that the page can have: eligible, and chosen or scored."""
        return np.asarray(self.eligible & (self.chosen.chosen | ~np.isnan(self.logit)))

    @property
    def unscored(self) -> Mask:
        """Candidates that the next run would score."""
        return np.asarray(self.chosen.chosen & np.isnan(self.logit) & ~self.refused)


@dataclass(frozen=True)
class Look:
    """The window, and what each topic finds in it."""

    span: Span
    cut: bool  # the window has more articles than were read
    members: pa.Table
    window: Window
    clusters: Clusters
    lexicon: Lexicon
    filters: Filters
    strategy: str
    without_vector: int
    scorer_id: int | None
    seconds_a_pair: float | None
    topics: tuple[Looked, ...]  # in the order that they were asked for


def look(
    database: Database,
    settings: Settings,
    wanted: Sequence[Topic],
    *,
    until: datetime | None,
    most_articles: int,
    scorer_digest: str | None,
) -> Look:
    """What these topics find in the window that ends now, or at `until`. The newest `most_articles` are looked at.

    Scores are those of the scorer with this digest; None: of the scorer of the pipeline's latest run.
    """
    with database.transaction(read_only=True) as connection:
        db.may_idle(connection)
        span, cut = _span(connection, settings, until, most_articles)
        run = _run(settings.pipeline, span)
        members = read_members(connection, run, preferred_sources=settings.preferred_sources)
        members = _newest(members, most_articles) if cut else members
        window = Window(members)
        lexicon = Lexicon(connection, wanted, window, also=_terms_of_words(wanted, window))
        filters = Filters(connection, wanted, window.document_ids)
        query_ids = _number_queries(connection, wanted)
        scorer_id = _scorer(connection, settings.pipeline, scorer_digest)
        speed = db.one(connection, "preview.speed", scorer_id=scorer_id)
        article_ids = members.column("article_id").to_pylist()
        hidden = hidden_articles(connection, settings.pipeline, article_ids, None)
        with open_retriever(
            settings,
            database,
            connection,
            run=run,
            texts=window.texts,
            claimed=np.arange(0, dtype=np.int64),
            query_ids=query_ids,
        ) as retriever:
            finder = _Finder(
                connection, settings, members, window, filters, retriever, scorer_id, query_ids, span.until
            )
            found = tuple(finder.find(asked) for asked in ask(lexicon, wanted, window, query_ids))
            name = retriever.name
        return Look(
            span=span,
            cut=cut,
            members=members,
            window=window,
            clusters=Clusters.of(members, as_of=span.until, hidden=set(hidden)),
            lexicon=lexicon,
            filters=filters,
            strategy=name,
            without_vector=sum(number < 0 for number in query_ids.values()) if "dense" in name else 0,
            scorer_id=scorer_id,
            seconds_a_pair=None if speed is None else speed["seconds_a_pair"],
            topics=found,
        )


def _span(
    connection: Connection, settings: Settings, until: datetime | None, most_articles: int
) -> tuple[Span, bool]:
    """The freshness window that ends then, or as much of it as has so many articles; and whether it was cut."""
    until = until or db.the(connection, "runs.now")["now"]
    fresh_since = until - timedelta(hours=settings.freshness_hours)
    row = db.one(
        connection,
        "preview.since",
        pipeline=settings.pipeline,
        fresh_since=fresh_since,
        until=until,
        most=most_articles,
    )
    since = fresh_since if row is None else row["since"]
    return Span(since=since, fresh_since=since, until=until), row is not None


def _newest(members: pa.Table, most_articles: int) -> pa.Table:
    """The newest members: whole clusters. An import may have given very many articles one time."""
    starts, _ = clusters_of(members)
    later = starts[starts >= members.num_rows - most_articles]
    return members.slice(int(later[0]) if len(later) else 0)


def _run(pipeline: str, span: Span) -> Run:
    """What the window is read for: no run that is stored."""
    return Run(
        run_id=NO_RUN,
        pipeline=pipeline,
        key="preview",
        window=span,
        fence=0,
        topics=None,
        rescore=False,
        as_claimed_now=False,
        scorer_id=None,
        members_path=None,
        members_sha256=None,
        pairs_path=None,
        pairs_sha256=None,
        light_path=None,
        light_sha256=None,
        claimed=False,
        prepared=True,
        frozen=False,
    )


def _number_queries(connection: Connection, wanted: Sequence[Topic]) -> dict[tuple[str, str], int]:
    """(instruction, query) → its id; a query that is not stored gets a number below 0, which no score has."""
    found = topics.find_queries(connection, wanted)
    for topic in wanted:
        for query in (topic.query, *topic.queries.values()):
            found.setdefault((topic.instruction, query), -1 - len(found))
    return found


def _scorer(connection: Connection, pipeline: str, digest: str | None) -> int | None:
    row = (
        db.one(connection, "preview.scorer", pipeline=pipeline)
        if digest is None
        else db.one(connection, "scorers.by_digest", digest=digest)
    )
    return None if row is None else int(row["scorer_id"])


def _terms_of_words(wanted: Sequence[Topic], window: Window) -> set[str]:
    return {
        term
        for topic in wanted
        for lang in window.languages
        for found in words(topic.query_for(comparable(lang)), lang=lang).values()
        for term in found
    }


class _Finder:
    """Searches the window for one topic after another."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        members: pa.Table,
        window: Window,
        filters: Filters,
        retriever: Retriever,
        scorer_id: int | None,
        query_ids: dict[tuple[str, str], int],
        until: datetime,
    ) -> None:
        self._connection, self._scorer_id = connection, scorer_id
        self._settings, self._window = settings, window
        self._filters, self._retriever = filters, retriever
        ingested = members.column("first_ingested_at").take(pa.array(clusters_of(members)[0]))
        hours = pc.cast(ingested, pa.int64()).to_numpy() // HOUR_US
        self._hours = [np.flatnonzero(hours == hour) for hour in np.unique(hours)]
        last = pa.scalar(until, schemas.TIME).value // HOUR_US
        self._span_hours = float(last - hours.min() + 1) if len(hours) else 1.0
        stored = [number for number in query_ids.values() if number >= 0]
        self._scores = (
            ledger.lookup(connection, scorer_id=scorer_id, query_ids=stored, documents=window.texts)
            if scorer_id is not None and len(window)
            else None
        )

    def find(self, asked: Asked) -> Looked:
        """What a topic finds as if it were new: the whole window is searched."""
        topic, window = asked.topic, self._window
        if topic.min_score is None:
            topic = replace(topic, min_score=self._settings.min_score)
        eligible = find_eligible(topic, window, self._filters)
        limit = topic.candidate_limit * self._settings.fill_factor
        chosen = search(self._retriever, asked, eligible, [(window.everything, limit)])
        hourly = search(
            self._retriever, asked, eligible, [(hour, topic.candidate_limit) for hour in self._hours]
        )
        logit = np.full(len(window), np.nan)
        refused = np.zeros(len(window), dtype=bool)
        if self._scores is not None:
            places = self._scores.positions(asked.query_ids, window.document_ids)
            logit[places >= 0] = self._scores.logit[places[places >= 0]]
            refused = ledger.refused(self._connection, self._scorer_id, asked.query_ids, window.document_ids)
        return Looked(
            topic=topic,
            query_ids=asked.query_ids,
            light=asked.light[window.everything],
            eligible=eligible,
            chosen=chosen,
            logit=logit,
            refused=refused,
            by_words=~self._retriever.any_language(asked),
            hourly=float(hourly.chosen.sum()) / self._span_hours,
        )


def own_languages(topic: Topic) -> set[str]:
    """The languages that the topic has a query in; empty if that of `query` cannot be told."""
    told = language(topic.query, claimed=None).code
    return set() if told == UNKNOWN else {told, *topic.queries}


def without_query(window: Window, found: Looked) -> dict[str, int]:
    """Language → documents that the topic takes, and that neither a query of theirs nor a vector can find."""
    foreign = found.by_words & ~in_a_language_of(found.topic, window)
    counts = {
        lang: int((foreign & here).sum())
        for lang, here in window.languages.items()
        if takes_language(found.topic, lang)
    }
    return {lang: count for lang, count in counts.items() if count}
