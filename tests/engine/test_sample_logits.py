"""The bundled checkpoint gives the sample the logits that it always gave."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from rerank_core import pipeline
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.extract.articles import load_articles
from rerank_core.settings import Settings
from rerank_core.storage.database import Database
from rerank_core.storage.topics import apply
from rerank_core.storage.topics_file import load_topics

pytestmark = [
    pytest.mark.engine,
    pytest.mark.filterwarnings("default"),  # vLLM and torch warn of their own code
]

SAMPLE = Path(__file__).resolve().parents[2] / "rerank_core" / "demo" / "sample"
EXPECTED = Path(__file__).with_name(
    "sample_logits.json"
)  # topic → [[article, logit], …], in the order of the page
AS_OF = datetime(2026, 11, 2, 13, tzinfo=UTC)  # an hour after the newest article


def test_the_sample_gets_the_same_logits_as_ever(
    postgres: EmbeddedPostgres, database_url: str, store_url: str
) -> None:
    pytest.importorskip("vllm", reason="the engine is not installed (extra `cpu` or `gpu`)")
    settings = Settings.load(database_url=database_url, store_url=store_url, fill_factor=1)
    database = Database(database_url)
    load_articles(database, SAMPLE / "articles.jsonl")
    with database.transaction() as connection:
        connection.execute(text("UPDATE rerank.article SET ingested_at = published_at"))
        apply(connection, settings.pipeline, load_topics(SAMPLE / "topics.yaml"))
    pipeline.run_all(pipeline.Resources.of(settings), key="sample", until=AS_OF)
    with database.transaction(read_only=True) as connection:
        ranked = connection.execute(
            text("SELECT topic, article_id, logit FROM rerank.current_ranking ORDER BY topic, rank")
        ).all()
    found: dict[str, list[tuple[str, float]]] = {}
    for topic, article_id, score in ranked:
        found.setdefault(topic, []).append((article_id, round(score, 5)))
    expected = json.loads(EXPECTED.read_text())
    assert {topic: [article for article, _ in rows] for topic, rows in found.items()} == {
        topic: [article for article, _ in rows] for topic, rows in expected.items()
    }
    assert [score for rows in found.values() for _, score in rows] == pytest.approx(
        [score for rows in expected.values() for _, score in rows], abs=1e-3
    )
