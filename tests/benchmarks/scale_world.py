"""Databases of a stated size for the scale benchmarks: made by SQL from invented paragraphs, not by the stages.

Articles come at an even pace up to two hours before now; one run an hour has claimed and published them. Each has
a document of its own, two paragraphs of made-up words, and so many scores in the ledger.
"""

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from factories import FakeEngines, Newsroom, make_topic
from sqlalchemy import text

from rerank_core.models import scorers
from rerank_core.prepare.terms import terms
from rerank_core.records import Topic
from rerank_core.settings import Settings
from rerank_core.storage import migrations
from rerank_core.storage.copy import copy_in
from rerank_core.storage.topics import recall_digest, store_queries

WORDS, LENGTH = 3_000, 70  # different words; words in a paragraph
SYLLABLES = "ba de fi go hu ka le mi no pu ra se ti vo zu".split()


def stub_engines() -> FakeEngines:
    """Engines that need no model, for every run of this process from now on."""
    engines = FakeEngines(options={"pairs_per_chunk": 1_000})
    engines.install(pytest.MonkeyPatch())
    return engines


def made_paragraphs(count: int) -> list[str]:
    """Invented paragraphs whose words are as uneven as those of a language."""
    draw = random.Random(1)
    words = [word(number) for number in range(WORDS)]
    weights = [1 / (number + 10) for number in range(WORDS)]
    return [" ".join(draw.choices(words, weights, k=LENGTH)) for _ in range(count)]


def word(number: int) -> str:
    """The word of this place in the vocabulary, frequent ones first."""
    base = len(SYLLABLES)
    return "".join(SYLLABLES[number // base**place % base] for place in (2, 1, 0))


def made_topics(count: int, **limits: Any) -> list[Topic]:
    """Topics of three words each that many documents have; no two have the same."""
    return [
        make_topic(
            slug=f"topic-{number:04}",
            query=" ".join(word((number * step + number // 150 * 20) % 150 + 10) for step in (1, 7, 11)),
            half_life_hours=24.0,
            **limits,
        )
        for number in range(count)
    ]


class World:
    """A newsroom with a past. Its articles have two of so many `paragraphs`: few of them make near-copies of most."""

    def __init__(
        self,
        database_url: str,
        store_url: str,
        engines: FakeEngines,
        *,
        paragraphs: int = 500,
        **settings: Any,
    ) -> None:
        migrations.upgrade(database_url)
        self.room = Newsroom(
            Settings.load(database_url=database_url, store_url=store_url, **settings), engines
        )
        self.newest: datetime = self.room.ago(hours=2)
        self._added = 0
        self._paragraphs = paragraphs
        made = made_paragraphs(paragraphs)
        table = {
            "number": list(range(paragraphs)),
            "text": made,
            "terms": [" ".join(terms(one, lang="en")) for one in made],
        }
        with self.room.database.transaction() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE public.paragraph (number int PRIMARY KEY, text text NOT NULL, terms text NOT NULL)"
            )
            copy_in(connection, "public.paragraph", pa.table(table))

    def past(
        self,
        revisions: int,
        *,
        days: float,
        topics: Sequence[Topic] = (),
        scores: int = 0,
        documents: bool = True,
    ) -> None:
        """So many articles, claimed and published within so many days; `scores` ledger rows of each document."""
        self.room.follow(*topics)
        per_run = max(1, round(revisions / (days * 24)))
        with self.room.database.transaction() as connection:
            connection.exec_driver_sql("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
            scorer_id = scorers.scorer_id(connection, self.room.settings)
            query_ids = sorted(store_queries(connection, topics).values())
            values = {
                "revisions": revisions,
                "paragraphs": self._paragraphs,
                "per_run": per_run,
                "newest": self.newest,
                "step": days * 86400 / revisions,
                "scorer_id": scorer_id,
                "query_ids": query_ids,
                "scores": min(scores, len(topics)),
                "pipeline": self.room.settings.pipeline,
            }
            for statement in [_ARTICLES, _RUNS, _CLAIMS, *([_DOCUMENTS] if documents else []), _REVISIONS]:
                connection.execute(text(statement), {**values, "documents": documents})
            if scores:
                connection.execute(text(_MONTHS), values)
                connection.execute(text(_SCORES), values)
            connection.execute(text(_NUMBERS))
        self.settle()

    def fill(self, topics: Sequence[Topic]) -> None:
        """The newest run has filled these topics, so later runs search what is new."""
        with self.room.database.transaction() as connection:
            values = {
                "pipeline": self.room.settings.pipeline,
                "scorer_id": scorers.scorer_id(connection, self.room.settings),
                "slugs": [topic.slug for topic in topics],
                "digests": [recall_digest(topic) for topic in topics],
            }
            connection.execute(text(_FILLS), values)

    def settle(self) -> None:
        """Vacuum and analyse, as autovacuum has done in a database that has stood for an hour."""
        with self.room.database._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")

    def add_articles(self, count: int) -> None:
        """New articles, ingested in the last hour."""
        self.room.sql(_NEW, first=self._added + 1, last=self._added + count, paragraphs=self._paragraphs)
        self._added += count

    def checkpoint(self) -> None:
        """Let no measurement pay for what was written before it."""
        self.room.sql("CHECKPOINT")

    def count(self, table: str) -> int:
        """Rows of a table of the schema."""
        return int(self.room.value(f"SELECT count(*) FROM rerank.{table}"))


# Article n of N; ids are as good as random, so that no index is read in order.
_TIME = (
    "CAST(:newest AS timestamptz) - (:revisions - n) * CAST(:step AS double precision) * interval '1 second'"
)
_ID = "left(md5(n::text), 20)"
_TEXT = "a.text || E'\\n\\n' || b.text"
_PARAGRAPHS = """
JOIN public.paragraph a ON a.number = (n * 7) % :paragraphs
JOIN public.paragraph b ON b.number = (n * 13 + n / :paragraphs) % :paragraphs
"""

_ARTICLES = f"""
INSERT INTO rerank.article (article_id, ingested_at, published_at, title, url, body, lang, source)
SELECT {_ID}, {_TIME}, {_TIME} - interval '10 minutes', 'Article ' || n, 'https://news.example/' || n, {_TEXT}, 'en', 'source ' || n % 9
FROM generate_series(1, :revisions) n {_PARAGRAPHS} ORDER BY n.n
"""

_NEW = f"""
INSERT INTO rerank.article (article_id, ingested_at, published_at, title, url, body, lang, source)
SELECT md5('new ' || n), now() - interval '5 minutes', now() - interval '9 minutes', 'New article ' || n,
       'https://news.example/new/' || n, {_TEXT}, 'en', 'source ' || n % 9
FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) n {_PARAGRAPHS} ORDER BY n.n
"""

_RUNS = f"""
INSERT INTO rerank.run (pipeline, key, since, fresh_since, until, rescore, scorer_id, claimed_at, prepared_at, frozen_at, published_at,
                        sighted, claimed, unchanged, too_late, later, forgotten, invalid, recall)
SELECT :pipeline, 'past-' || n, at - interval '7 days', at - interval '3 days', at, false, :scorer_id, at, at, at, at,
       :per_run, :per_run, 0, 0, 0, 0, 0, 'bm25'
FROM (SELECT n.n, {_TIME} + interval '1 second' AS at
      FROM generate_series(LEAST(:per_run, :revisions), :revisions + :per_run - 1, :per_run) n) n
ORDER BY n.n
"""

_CLAIMS = """
INSERT INTO rerank.claim (pipeline, article_id, version, number, first_ingested_at)
SELECT :pipeline, article_id, version::text, 1, ingested_at FROM rerank.article ORDER BY article_id
"""

_DOCUMENTS = f"""
INSERT INTO rerank.document (document_id, digest, month, lang, lang_confidence, length, text, terms) OVERRIDING SYSTEM VALUE
SELECT n, sha256(n::text::bytea), date_trunc('month', {_TIME}), 'en', 1, length({_TEXT}),
       'Article ' || n || E'\\n\\n' || {_TEXT}, a.terms || ' ' || b.terms
FROM generate_series(1, :revisions) n {_PARAGRAPHS} ORDER BY n.n
"""

_REVISIONS = f"""
INSERT INTO rerank.revision (revision_id, pipeline, article_id, number, version, run_id, ingested_at, first_ingested_at, published_at,
                             began_at, url, source, lang, title, document_id) OVERRIDING SYSTEM VALUE
SELECT n, :pipeline, {_ID}, 1, n::text, (n - 1) / :per_run + 1, {_TIME}, {_TIME}, {_TIME} - interval '10 minutes', {_TIME} - interval '10 minutes',
       'https://news.example/' || n, 'source ' || n % 9, 'en', 'Article ' || n, CASE WHEN :documents THEN n END AS document_id
FROM generate_series(1, :revisions) n ORDER BY n.n
"""

_MONTHS = "SELECT rerank.ensure_month(month) FROM (SELECT DISTINCT month FROM rerank.document) m"

_SCORES = """
INSERT INTO rerank.pair_score (month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device)
SELECT d.month, d.document_id, (CAST(:query_ids AS bigint[]))[(d.document_id * 7 + k) % cardinality(CAST(:query_ids AS bigint[])) + 1],
       :scorer_id, (d.document_id * 31 + k * 17) % 1000 / 100.0 - 5, false, (d.document_id - 1) / :per_run + 1, 0, 10, 'fake 1', 'none'
FROM rerank.document d CROSS JOIN generate_series(1, :scores) k
ORDER BY d.document_id
"""

_FILLS = """
INSERT INTO rerank.fill (pipeline, slug, recall_digest, scorer_id, run_id)
SELECT :pipeline, slug, digest, :scorer_id, (SELECT max(run_id) FROM rerank.run)
FROM unnest(CAST(:slugs AS text[]), CAST(:digests AS bytea[])) AS t (slug, digest) ORDER BY slug
"""

# The next rows of both tables come after those that brought their own numbers.
_NUMBERS = """
SELECT setval(pg_get_serial_sequence('rerank.revision', 'revision_id'), (SELECT COALESCE(max(revision_id), 1) FROM rerank.revision)),
       setval(pg_get_serial_sequence('rerank.document', 'document_id'), (SELECT COALESCE(max(document_id), 1) FROM rerank.document))
"""
