"""The oracle finds what it is there to find: in libraries that are broken on purpose, and in doctored tables."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis_servers

from faults import oracle, scenario
from faults.conductor import seconds_without_processor
from faults.controls import CONTROLS
from faults.kinds import KINDS
from faults.world import Fire, World

pytestmark = pytest.mark.timeout(120)

TRIES = 4  # scenarios of a control; it need not do harm in each
SHORT = (
    "watermark",
    "no fence",
    "in place",
    "no time limit",
    "no network limit",
)


@pytest.mark.parametrize(
    "control", [pytest.param(name, marks=[] if name in SHORT else pytest.mark.long) for name in CONTROLS]
)
def test_a_broken_library_is_caught(fire: Fire, control: str) -> None:
    broken = CONTROLS[control]
    kind = broken.kinds[0]
    if reason := fire.why_not(KINDS[kind].needs):
        pytest.skip(reason)
    first = broken.first_seed
    verdicts = (
        scenario.play(fire, kind, seed, control=control).verdict for seed in range(first, first + TRIES)
    )
    assert any(getattr(verdict, broken.harm) for verdict in verdicts)


def test_every_kind_that_brings_a_control_to_light_exists() -> None:
    assert {kind for control in CONTROLS.values() for kind in control.kinds} <= set(KINDS)


def examined(world: World) -> list[str]:
    return oracle.examine(world.dsn, store=world.store, folder=world.folder, may_rescore=0).violations


def test_an_ordinary_page_has_nothing_to_object_to(fire: Fire) -> None:
    with fire.world() as world:
        assert examined(world) == []


def file_of(world: World) -> Path:
    (path,) = world.query("SELECT parquet_path FROM rerank.publication")
    return world.store / str(path[0])


SPOILT: dict[str, tuple[str, str]] = {
    "lost": ("DELETE FROM rerank.revision WHERE article_id = 'a3'", "saw a3 at version"),
    "a text gone": ("DELETE FROM rerank.revision_text", "has not the text"),
    "never prepared": (
        "UPDATE rerank.revision SET document_id = NULL WHERE article_id = 'a3'",
        "never prepared",
    ),
    "in two runs": (
        "INSERT INTO rerank.revision (pipeline, article_id, number, version, run_id, ingested_at, first_ingested_at, began_at, document_id)"
        " SELECT pipeline, article_id, 2, version, run_id, ingested_at, first_ingested_at, began_at, document_id"
        " FROM rerank.revision WHERE article_id = 'a3'",
        "is in runs",
    ),
    "an old try": (
        "INSERT INTO fire.fence SELECT run_id, fence + 1, '3' FROM rerank.publication",
        "committed after fence",
    ),
    "a rank missing": ("DELETE FROM rerank.ranking WHERE rank = 3", "ranks are"),
    "a row changed": (
        "UPDATE rerank.ranking SET title = 'x' WHERE rank = 3",
        "its file and its table differ",
    ),
    "the order wrong": (
        "UPDATE rerank.ranking SET rank_score = rank_score + 50 WHERE rank = 3",
        "rank_score does not fall",
    ),
    "no number": ("UPDATE rerank.ranking SET rank_score = 'NaN' WHERE rank = 1", "a score is no number"),
    "another logit": ("UPDATE rerank.ranking SET logit = logit + 1 WHERE rank = 1", "is not in the ledger"),
    "two scorers": (
        "UPDATE rerank.ranking SET scorer_id = scorer_id + 1 WHERE rank = 1",
        "two scorers are mixed",
    ),
    "another run's row": (
        "UPDATE rerank.ranking SET revision_id = revision_id + 1 WHERE rank = 1",
        "is not the article of revision",
    ),
    "counts that do not add up": (
        "UPDATE rerank.ranking_topic SET scored = scored + 1",
        "candidates are not",
    ),
    "rows of the source that nobody tells of": (
        "UPDATE rerank.run SET too_late = too_late - 1",
        "rows and tells of",
    ),
    "a claim that is not counted": (
        "UPDATE rerank.run SET claimed = claimed - 1, unchanged = unchanged + 1",
        "has claimed",
    ),
    "a text that nobody tells of": (
        "UPDATE rerank.run_metric SET value = value - 1 WHERE stage = 'prepare' AND name = 'documents'",
        "has prepared",
    ),
    "two buckets": (
        "INSERT INTO rerank.quarantine (revision_id, stage, reason) SELECT min(revision_id), 'prepare', 'x' FROM rerank.revision",
        "is a document, and in quarantine",
    ),
    "a text that a topic does not tell of": (
        "UPDATE rerank.run_topic SET not_recalled = not_recalled + 1 WHERE slug = 'solar'",
        "documents of one window",
    ),
    "a page that lacks an article": (
        "DELETE FROM rerank.ranking WHERE article_id = 'a3'",
        "the last page shows",
    ),
    "a cluster twice": (
        "UPDATE rerank.near_copy SET leader_document_id = (SELECT min(document_id) FROM rerank.near_copy)",
        "two rows of one cluster",
    ),
    "a pin that is not on the page": (
        "INSERT INTO rerank.editorial_act (pipeline, slug, article_id, kind, amount, ends_at, reason)"
        " VALUES ('news', 'wind', 'a1', 'pin', 1, now() + interval '1 h', 'x');"
        " INSERT INTO rerank.run_act SELECT run_id, 1 FROM rerank.run",
        "and is not on the page",
    ),
    "a pin that nobody made": (
        "UPDATE rerank.ranking SET moved_by = 'pin' WHERE rank = 2",
        "as a pin, and nobody pinned it",
    ),
    "a row moved by nothing": ("UPDATE rerank.ranking SET moved = 1 WHERE rank = 2", "and nothing moved it"),
    "a source with too many rows": (
        "UPDATE rerank.ranking SET source = 'x' WHERE slug = 'rain'",
        "rows of source 'x', and 2 are allowed",
    ),
    "a score of another text": (
        "UPDATE rerank.ranking SET scored_document_id = scored_document_id + 1 WHERE rank = 1",
        "the score of another cluster's text",
    ),
    "a gate that blocks for nothing": (
        "INSERT INTO rerank.gate (run_id, verdict, sentence, fence) SELECT run_id, 'blocked', 'spread: x', 1 FROM rerank.run",
        "was blocked by the gate",
    ),
    "a score from nowhere": (
        "INSERT INTO rerank.pair_score SELECT month, 999, query_id, scorer_id, logit, truncated, run_id, shard,"
        " latency_ms, engine, device, scored_at FROM rerank.pair_score LIMIT 1",
        "that no engine gave",
    ),
    "news that never were": (
        "INSERT INTO rerank.change SELECT pointer_move_id, 'solar', 'a3', 'entered', NULL, 1 FROM rerank.pointer_move",
        "has 1 changes, and 0 are due",
    ),
    "news that were not noted": (
        "INSERT INTO rerank.pointer_move (pipeline, from_publication_id, to_publication_id, reason)"
        " SELECT 'news', publication_id, 0, 'published' FROM rerank.publication",
        "has 0 changes, and",
    ),
    "a pointer at nothing new": (
        "WITH older AS (INSERT INTO rerank.publication (pipeline, run_id, version, fence, as_of, parquet_path,"
        " parquet_sha256, rows_sha256, row_count, degraded) SELECT pipeline, run_id, 2, fence, as_of - interval '1 h',"
        " parquet_path, parquet_sha256, rows_sha256, row_count, degraded FROM rerank.publication RETURNING *)"
        " INSERT INTO rerank.pointer_move (pipeline, from_publication_id, to_publication_id, reason)"
        " SELECT pipeline, publication_id - 1, publication_id, 'published' FROM older",
        "took the page back",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_the_oracle_objects_to_a_table_that_was_tampered_with(fire: Fire, name: str) -> None:
    statement, objection = SPOILT[name]
    with fire.world() as world:
        world.query(f"SET session_replication_role = replica; {statement}")
        assert any(objection in sentence for sentence in examined(world)), examined(world)


def note(world: World, name: str, **values: object) -> None:
    with (world.folder / name).open("a") as log:
        log.write(json.dumps(values) + "\n")


@pytest.mark.parametrize(
    ("page_at", "prepared_at", "outage", "found"),
    [
        (109.0, 90.0, None, "nothing"),
        (111.0, 90.0, None, "late"),
        (111.0, 150.0, None, "nothing"),  # a busy machine, and not prepared yet
        (151.0, 150.0, None, "late"),
        (None, 90.0, None, "late"),
        (130.0, 90.0, (95.0, 125.0), "excused"),
        (140.0, 90.0, (95.0, 125.0), "late"),
        (111.0, 90.0, (120.0, 125.0), "late"),  # the outage came after it
    ],
)
def test_the_oracle_objects_to_a_page_that_came_after_its_deadline(
    fire: Fire, page_at: float | None, prepared_at: float, outage: tuple[float, float] | None, found: str
) -> None:
    with fire.world() as world:
        note(world, "deadlines.log", key="first", due=100.0, grace=10.0)
        note(world, "runs.log", key="first", what="prepared", moment=prepared_at)
        if page_at is not None:
            note(world, "runs.log", key="first", what="page", moment=page_at)
        if outage is not None:
            note(world, "outages.log", began=outage[0], ended=outage[1])
        verdict = oracle.examine(world.dsn, store=world.store, folder=world.folder, may_rescore=0)
        assert bool(verdict.late) == (found == "late")
        assert bool(verdict.excused) == (found == "excused")
        assert any("had no page at its deadline" in one for one in verdict.violations) == (found == "late")


@pytest.mark.parametrize(
    ("key", "moment", "found"),
    [
        ("first", 115.0, "nothing"),
        ("first", 95.0, "late"),
        ("first", 130.0, "late"),
        ("other", 115.0, "late"),
    ],
)
def test_a_page_may_be_later_by_what_its_own_run_waited_for_a_processor_since_the_deadline(
    fire: Fire, key: str, moment: float, found: str
) -> None:
    with fire.world() as world:
        note(world, "deadlines.log", key="first", due=100.0, grace=10.0)
        note(world, "runs.log", key="first", what="prepared", moment=90.0)
        note(world, "runs.log", key="first", what="page", moment=120.0)
        note(world, "waits.log", key=key, moment=moment, seconds=15.0)
        verdict = oracle.examine(world.dsn, store=world.store, folder=world.folder, may_rescore=0)
        assert bool(verdict.late) == (found == "late")


def test_a_process_that_has_no_processor_is_seen_to_wait() -> None:
    """Two processes on one processor: each waits for about half of the time. One that sleeps waits for nothing."""
    own = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    bodies = (f"{own}while True: pass", f"{own}while True: pass", f"{own}import time; time.sleep(60)")
    processes = [subprocess.Popen([sys.executable, "-c", body]) for body in bodies]
    try:
        time.sleep(1.5)
        busy, _, idle = (seconds_without_processor(process.pid) for process in processes)
        before = busy
        time.sleep(0.5)
        assert seconds_without_processor(processes[0].pid) > before
        assert idle < before
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert seconds_without_processor(processes[0].pid) == 0.0


def test_the_oracle_objects_to_a_file_outside_of_the_store(fire: Fire) -> None:
    with fire.world() as world:
        note(world, "strays.log", path="/elsewhere/pairs.parquet")
        assert any("outside of the store" in sentence for sentence in examined(world))


@redis_servers.needs_redis
def test_the_oracle_objects_to_a_copy_in_redis_that_is_not_the_page(fire: Fire, tmp_path: Path) -> None:
    server = redis_servers.RedisServer(tmp_path)
    try:
        with fire.world() as world:
            verdict = oracle.examine(
                world.dsn, store=world.store, folder=world.folder, may_rescore=0, redis_url=server.url
            )
    finally:
        server.stop()
    assert any("Redis shows publication None" in sentence for sentence in verdict.violations)


def overwrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [overwrite, Path.unlink, lambda path: path.write_bytes(b"PAR1")])
def test_the_oracle_objects_to_a_file_that_is_not_what_was_written(
    fire: Fire, spoil: Callable[[Path], object]
) -> None:
    with fire.world() as world:
        spoil(file_of(world))
        assert any("its file" in sentence for sentence in examined(world))


def topic_file(world: World) -> Path:
    return next(world.store.glob("news/pages/**/solar.json"))


def feed_of(world: World, ending: str) -> Path:
    return next(world.store.glob(f"news/pages/**/solar.{ending}"))


def overwrite_json(path: Path, old: str, new: str) -> None:
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


@pytest.mark.parametrize(
    ("spoil", "objection"),
    [
        (lambda world: (world.store / "news/latest.json").unlink(), "cannot be read"),
        (lambda world: topic_file(world).unlink(), "cannot be read"),
        (
            lambda world: overwrite_json(world.store / "news/latest.json", '"run_id":', '"run_id":1'),
            "latest.json says run_id",
        ),
        (lambda world: overwrite_json(topic_file(world), '"rank":2', '"rank":3'), "the JSON page of solar"),
        (lambda world: feed_of(world, "atom.xml").unlink(), "the feeds cannot be read"),
        (lambda world: overwrite(feed_of(world, "atom.xml")), "the feeds cannot be read"),
        (
            lambda world: overwrite_json(feed_of(world, "feed.json"), '"article_id":"a', '"article_id":"b'),
            "the JSON Feed of solar shows",
        ),
        (
            lambda world: overwrite_json(
                feed_of(world, "atom.xml"), "<rerank:publication_id>", "<rerank:publication_id>9"
            ),
            "the Atom feed of solar is of publication",
        ),
    ],
)
def test_the_oracle_objects_to_json_pages_that_are_not_the_page(
    fire: Fire, spoil: Callable[[World], object], objection: str
) -> None:
    with fire.world() as world:
        spoil(world)
        assert any(objection in sentence for sentence in examined(world)), examined(world)


@pytest.mark.parametrize(
    ("log", "line", "objection"),
    [
        (
            "views.log",
            '{"seen": [[1, 1, 1, "2026"], [2, 1, 2, "2026"]], "rows": 9, "digest": ""}',
            "pages at once",
        ),
        ("views.log", '{"seen": [], "rows": 0, "digest": ""}', "an empty page"),
        ("views.log", '{"seen": [[1, 1, 1, "2026"]], "rows": 9, "digest": ""}', "a reader saw 9 rows"),
        ("files.log", '{"pages": 2, "publication": 1, "rows": 9, "torn": ""}', "files at once"),
        ("files.log", '{"pages": 1, "publication": 1, "rows": 9, "torn": ""}', "had 9 rows"),
        ("files.log", '{"pages": 1, "publication": 1, "rows": 9, "torn": "ArrowInvalid"}', "ArrowInvalid"),
    ],
)
def test_the_oracle_objects_to_what_a_reader_must_not_see(
    fire: Fire, log: str, line: str, objection: str
) -> None:
    with fire.world() as world:
        (world.folder / log).write_text(line + "\n")
        assert any(objection in sentence for sentence in examined(world))


def test_the_oracle_counts_pairs_that_were_scored_twice(fire: Fire) -> None:
    with fire.world() as world:
        log = world.folder / "engine.log"
        log.write_text(log.read_text() * 2)
        assert any("were scored again, 0 at most" in sentence for sentence in examined(world))
