"""Records with defaults to override, and a newsroom: a database, a store and a fake engine that a test runs stages in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from rerank_core import pipeline
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer
from rerank_core.observe.explain import Explanation, explain
from rerank_core.records import Article, Pair, Run, Score, Topic
from rerank_core.settings import Settings
from rerank_core.storage import runs, schemas, topics
from rerank_core.storage.database import Database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_article(**overrides: Any) -> Article:
    """An article with a title alone; its id is its title."""
    title = overrides.pop("title", "solar power")
    values: dict[str, Any] = {
        "article_id": title,
        "version": "1",
        "ingested_at": NOON,
        "title": title,
        "lang": "en",
    }
    return Article(**{**values, **overrides})


def make_topic(**overrides: Any) -> Topic:
    """A topic whose query is its slug, without decay worth the name."""
    slug = overrides.pop("slug", "solar")
    values: dict[str, Any] = {"slug": slug, "query": slug, "half_life_hours": 1e9}
    return Topic(**{**values, **overrides})


def make_pair(**overrides: Any) -> Pair:
    """A pair of query 1 and document 1."""
    values: dict[str, Any] = {
        "query_id": 1,
        "document_id": 1,
        "month": NOON.date().replace(day=1),
        "instruction": "judge",
        "query": "solar",
        "document": "solar power",
    }
    return Pair(**{**values, **overrides})


def make_score(pair: Pair | None = None, **overrides: Any) -> Score:
    """A score of 1.0."""
    values: dict[str, Any] = {
        "logit": 1.0,
        "truncated": False,
        "latency_ms": 1.0,
        "prompt_tokens": 10,
        "cached_tokens": 0,
    }
    return Score(pair=pair or make_pair(), **{**values, **overrides})


@dataclass
class FakeEngines:
    """Stands in for the model: gives FakeScorers with these options, and keeps those that it gave."""

    options: dict[str, Any] = field(default_factory=dict)
    name: str = "fake"  # another name is another scorer
    built: list[FakeScorer] = field(default_factory=list)
    asked: list[Pair] = field(default_factory=list)  # in the order that the engines were given them

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every run in this process gets its scorers here, until the test ends."""
        monkeypatch.setattr(scorers, "identity", lambda settings: FakeScorer(name=self.name).identity)
        monkeypatch.setattr(scorers, "load", lambda settings, failures=0, pairs=0: self._load())

    def _load(self) -> FakeScorer:
        scorer = FakeScorer(name=self.name, **self.options)
        score = scorer.score
        self.built.append(scorer)

        def recording(pairs: Sequence[Pair], **options: Any) -> Any:
            self.asked.extend(pairs)
            return score(pairs, **options)

        scorer.score = recording  # type: ignore[method-assign]
        return scorer


# URL → engine whose connections stay open. A connection for each transaction, as the library has it, takes longer than most
# tests. What a session keeps that it should not shows sooner here.
KEPT: dict[str, Engine] = {}


class Newsroom:
    """One pipeline with everything that it needs."""

    def __init__(self, settings: Settings, engines: FakeEngines) -> None:
        self.settings = settings
        self.engines = engines
        self.resources = pipeline.Resources.of(settings)
        if settings.database_url in KEPT:
            self.database._engine = KEPT[settings.database_url]
        self.now = self.value("SELECT now()")  # the database's clock when the test began

    @property
    def database(self) -> Database:
        return self.resources.database

    def tuned(self, **settings: Any) -> "Newsroom":
        """The same newsroom with other settings."""
        other = Newsroom(self.settings.model_copy(update=settings), self.engines)
        other.now = self.now
        return other

    def ago(self, **span: float) -> datetime:
        """A time before the test began."""
        moment: datetime = self.now - timedelta(**span)
        return moment

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """The rows of a statement; [] for one that has none."""
        with self.database.transaction() as connection:
            result = connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    def value(self, statement: str, **values: Any) -> Any:
        """The first column of the first row."""
        return self.sql(statement, **values)[0][0]

    def add(self, *titles: str, ingested_at: datetime | None = None, **fields: Any) -> None:
        """Put articles into the source, one a title; its id is its title."""
        columns = {"ingested_at": ingested_at or self.ago(minutes=10), "lang": "en", **fields}
        articles = [{"article_id": title, "title": title, **columns} for title in titles]
        names = list(articles[0])
        insert = text(f"INSERT INTO rerank.article ({', '.join(names)}) VALUES (:{', :'.join(names)})")
        with self.database.transaction() as connection:
            connection.execute(insert, articles)

    def flood(self, name: str, *, articles: int = 70, hours_ago: float = 0.2) -> None:
        """Articles about solar, wind and tide, that a fake engine tells apart by a hash alone: name1, name2, …"""
        self.sql(
            "INSERT INTO rerank.article (article_id, title, ingested_at, lang)"
            " SELECT :name || n, 'solar wind tide ' || :name || ' ' || n, :at, 'en' FROM generate_series(1, :articles) n",
            name=name,
            articles=articles,
            at=self.ago(hours=hours_ago),
        )

    def edit(self, article_id: str, **fields: Any) -> None:
        """Change fields of an article in the source."""
        changes = ", ".join(f"{name} = :{name}" for name in fields)
        self.sql(
            f"UPDATE rerank.article SET {changes} WHERE article_id = :article_id",
            article_id=article_id,
            **fields,
        )

    def follow(self, *wanted: Topic | str) -> None:
        """Make these the pipeline's topics; a word is a topic of that slug and query."""
        made = [make_topic(slug=topic) if isinstance(topic, str) else topic for topic in wanted]
        with self.database.transaction() as connection:
            topics.apply(connection, self.settings.pipeline, made)

    def open(self, key: str | None = None, **options: Any) -> Run:
        """A run; the same one for the same key."""
        return pipeline.open_run(self.resources, key=key, **options)

    def stage(self, name: str, run: Run, *, shard: int | None = None) -> dict[str, Any]:
        """One try of a stage."""
        return pipeline.run_stage(name, resources=self.resources, run_id=run.run_id, shard=shard)

    def run(self, key: str | None = None, **options: Any) -> dict[str, dict[str, Any]]:
        """Every stage of a run; its results by stage, the shards' under rerank[0], rerank[1], …"""
        results: dict[str, dict[str, Any]] = {}

        def keep(stage: str, result: Any) -> None:
            results[stage if stage != "rerank" else f"rerank[{result['shard']}]"] = dict(result)

        pipeline.run_all(self.resources, key=key, on_stage=keep, **options)
        return results

    def until(self, stage: str, key: str | None = None, **options: Any) -> Run:
        """A run whose stages before `stage` are done."""
        run = self.open(key, **options)
        for name in pipeline.STAGES[: pipeline.STAGES.index(stage)]:
            if name == "rerank":
                for shard in self.stage("recall", run)["shards"]:
                    self.stage("rerank", run, shard=shard["shard"])
            else:
                self.stage(name, run)
        with self.database.transaction(read_only=True) as connection:
            return runs.get(connection, run.run_id)

    def again(self, run: Run) -> Run:
        """The run's row as it stands now."""
        with self.database.transaction(read_only=True) as connection:
            return runs.get(connection, run.run_id)

    def rest(self, run: Run) -> dict[str, Any]:
        """What a run does by itself from recall on, to its page."""
        for shard in self.stage("recall", run)["shards"]:
            self.stage("rerank", run, shard=shard["shard"])
        self.stage("degrade", run)
        return self.stage("publish", run)

    def explained(self, article_id: str, *, topic: str = "solar", run: Run | None = None) -> Explanation:
        """Why the article stands where it stands, or does not."""
        return explain(
            database=self.database,
            store=self.resources.store,
            settings=self.settings,
            topic=topic,
            article_id=article_id,
            run_id=None if run is None else run.run_id,
        )

    def page(self, topic: str = "solar") -> list[str]:
        """Article ids of a topic on the current page, in order."""
        return [row.article_id for row in self.ranking(topic)]

    def ranking(self, topic: str = "solar") -> list[Any]:
        """Rows of a topic on the current page, in order."""
        return self.sql(
            "SELECT * FROM rerank.current_ranking WHERE topic = :topic ORDER BY rank", topic=topic
        )

    def standing(self, topic: str = "solar") -> Any:
        """How a topic stands on the current page."""
        return self.sql("SELECT * FROM rerank.current_topic WHERE topic = :topic", topic=topic)[0]

    def parquet(self, published: dict[str, Any]) -> pa.Table:
        """The published file, straight from the disk."""
        return pq.read_table(Path(published["parquet"]), schema=schemas.PUBLISHED)

    def members(self, run: Run) -> list[dict[str, Any]]:
        """The run's frozen members."""
        frozen = self.again(run)
        found = self.resources.store.read(str(frozen.members_path), schema=schemas.MEMBERS)
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows

    def pairs(self, run: Run) -> list[dict[str, Any]]:
        """The run's frozen pairs, each with its article's id."""
        frozen = self.again(run)
        articles = self.members(run)
        members = {row["scored_document_id"]: row["article_id"] for row in reversed(articles)}
        found = self.resources.store.read(str(frozen.pairs_path), schema=schemas.PAIRS).to_pylist()
        return [{**row, "article_id": members[row["document_id"]]} for row in found]

    def wanted(self, run: Run, topic: str = "solar") -> set[str]:
        """Articles that a frozen run wants scored for a topic."""
        return {row["article_id"] for row in self.pairs(run) if row["work"] and row["topic"] == topic}


def never(*_: Any, **__: Any) -> Any:
    """Stands where nothing may be called."""
    raise AssertionError("this must not be called")


def statement_replaced(monkeypatch: pytest.MonkeyPatch, name: str, sql: str) -> None:
    """Break a named statement, for the control of a fault test."""
    from rerank_core.storage import database

    original: Callable[..., Any] = database.statement

    def replaced(wanted: str, relations: Any = ()) -> Any:
        return text(sql) if wanted == name else original(wanted, relations)

    monkeypatch.setattr(database, "statement", replaced)


__all__ = [
    "NOON",
    "FakeEngines",
    "Newsroom",
    "make_article",
    "make_pair",
    "make_score",
    "make_topic",
    "never",
    "statement_replaced",
]
