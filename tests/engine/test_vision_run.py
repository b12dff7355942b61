"""Pictures from the source to the ledger: `rerank run` with a random model of pictures, beside a pipeline of texts alone."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.vision_host import last_line, run_apart
from factories import FakeEngines, Newsroom
from made_media import add_medium, clip, outcomes, picture

from rerank_core.settings import Settings

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.filterwarnings("ignore")]

TEXT = {"title": "Solar power", "body": "A field of panels was opened today, and it gives power to a town."}
LEDGER = (
    "SELECT d.document_id, d.digest, d.text, d.pictures, q.instruction, q.query, s.logit, s.scored_at, s.run_id"
    " FROM rerank.pair_score s JOIN rerank.document d USING (document_id) JOIN rerank.query q USING (query_id)"
    " ORDER BY d.document_id"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random checkpoint of the family, with a canary of pictures that it passes."""
    pytest.importorskip("vllm", reason="the engine is not installed (extra `cpu` or `gpu`)")
    folder = tmp_path_factory.mktemp("pictures") / "checkpoint"
    run_apart("-m", "engine.vision_child", "make", str(folder))
    return folder


@pytest.fixture
def room(database_url: str, store_url: str) -> Newsroom:
    return Newsroom(Settings.load(database_url=database_url, store_url=store_url), FakeEngines())


@pytest.fixture
def run(checkpoint: Path, database_url: str, store_url: str) -> Callable[..., str]:
    """Runs a pipeline by the command, in a process that has what reads pictures."""

    def run(pipeline: str, key: str, media: str) -> str:
        return run_apart(
            *("-c", "from rerank_core.cli import main; main()", "run", "--key", key),
            RERANK_DATABASE_URL=database_url,
            RERANK_STORE_URL=store_url,
            RERANK_PIPELINE=pipeline,
            RERANK_MODEL=str(checkpoint),
            RERANK_MEDIA=media,
            RERANK_PICTURE_TOKENS="64",  # the bounds of vision_child.py
            RERANK_CLIP_TOKENS="64",
            RERANK_KV_CACHE_GIB="0.25",
        )

    return run


def documents_of(room: Newsroom, pipeline: str) -> dict[str, int]:
    """Article → its document in a pipeline."""
    rows = room.sql(
        "SELECT r.article_id, r.document_id FROM rerank.revision r WHERE r.pipeline = :pipeline",
        pipeline=pipeline,
    )
    return {row.article_id: row.document_id for row in rows}


def test_pictures_of_the_source_reach_the_ledger_and_a_pipeline_of_texts_keeps_its_scores(
    room: Newsroom, run: Callable[..., str], checkpoint: Path, store_url: str
) -> None:
    texts = room.tuned(pipeline="texts")
    for each in (room, texts):
        each.follow("solar")
    for name in ("red", "blue", "bare", "broken"):
        room.add(name, **TEXT)
    room.add("clip", title="Solar power grows", body="Solar power in numbers.")
    run("texts", "one", '["pictures"]')
    before = room.sql(LEDGER)
    assert len(before) == 2, "two texts"
    add_medium(room, "red", picture("red"), caption="A red field")
    add_medium(room, "blue", picture("blue"))
    add_medium(room, "broken", picture("red")[:3000])
    add_medium(room, "clip", picture("green", size=(400, 300)))
    add_medium(room, "clip", clip(), kind="video")
    run("news", "one", '["score"]')
    ledger = {row.document_id: row for row in room.sql(LEDGER)}
    read, plain = documents_of(room, "news"), documents_of(room, "texts")

    assert Counter(outcome.partition(":")[0] for outcome in outcomes(room)) == {"used": 4, "broken": 1}
    assert read["bare"] == read["broken"] == plain["bare"] == plain["red"], (
        "a picture that is dropped changes nothing"
    )
    assert len({read[name] for name in ("red", "blue", "bare", "clip")} | {plain["clip"]}) == 5
    assert [len(ledger[read[name]].pictures) for name in ("red", "blue", "bare", "clip")] == [1, 1, 0, 2]
    for name in ("red", "blue", "bare"):
        row = ledger[read[name]]
        digest = hashlib.sha256(row.text.encode()).digest()
        if row.pictures:
            digest = hashlib.sha256(digest + "\0".join(row.pictures).encode()).digest()
        assert bytes(row.digest) == digest

    expected = expected_logits(checkpoint, store_url, list(ledger.values()))
    found = [row.logit for row in ledger.values()]
    assert found == pytest.approx(expected["logits"], abs=1e-4)
    for row, with_pictures, without in zip(
        ledger.values(), expected["logits"], expected["without"], strict=True
    ):
        assert (abs(with_pictures - without) > 1e-3) == bool(row.pictures)
    assert room.value("SELECT count(*) FROM rerank.refused_pair") == 0
    shown = [row for row in room.ranking() if row.pipeline == "news"]
    assert [(len(shown), {row.ranked_by for row in shown})] == [(4, {"model"})], "a row for each document"

    assert [row for row in room.sql(LEDGER) if row.document_id in plain.values()] == before
    run("texts", "two", '["pictures"]')
    assert room.sql(LEDGER) == list(ledger.values()), "pictures that are shown ask for no score"
    shown = {row.article_id: row for row in room.ranking() if row.pipeline == "texts"}
    assert (len(shown), len(shown["clip"].pictures)) == (2, 2)


def expected_logits(checkpoint: Path, store_url: str, rows: list[Any]) -> dict[str, list[float]]:
    """Logits of ledger rows by transformers, with their pictures and without."""
    pairs = [
        {
            "instruction": row.instruction,
            "query": row.query,
            "document": row.text,
            "pictures": list(row.pictures),
        }
        for row in rows
    ]
    found: dict[str, list[float]] = last_line(
        run_apart(
            "-m", "engine.vision_child", "expect", str(checkpoint), told={"store": store_url, "pairs": pairs}
        )
    )
    return found
