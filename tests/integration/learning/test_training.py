"""A training from examples to a proposal, on the bundled checkpoint's files. The engine is stood in for: states are drawn, and
the learned head is read back from the folder. tests/engine/test_learned.py has the true engine."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from factories import NOON, Newsroom
from learning_worlds import HIDDEN, World, make_world

from rerank_core.errors import EngineError, ModelError, SettingsError
from rerank_core.learning import promote, states, training, tune
from rerank_core.learning.examples import Example, Examples
from rerank_core.learning.positions import NAIVE
from rerank_core.models import scorers
from rerank_core.models.canary import read_canary
from rerank_core.models.identity import identify
from rerank_core.models.weights import read_rows
from rerank_core.records import Pair
from rerank_core.settings import DEMO_CHECKPOINT

SECRET = "Zanzibar umbrella treaty"  # of an article that is forgotten afterwards
SIZE = 168  # of the bundled checkpoint's states


class Engine:
    """Stands in for vLLM: the state of a text is drawn before; a scorer of a learned folder gives state · head."""

    def __init__(self, world: World) -> None:
        self.head = np.zeros(SIZE, dtype=np.float32)
        self.head[:HIDDEN] = world.base
        rows = np.concatenate([world.train.states, world.held.states])
        self.states_of = {f"story {place} {SECRET}": self._wide(row) for place, row in enumerate(rows)}
        for pair in read_canary(DEMO_CHECKPOINT).pairs():
            best = np.zeros(HIDDEN)
            best[0] = 3.0 - pair.document_id
            self.states_of[pair.document] = self._wide(best)
        self.read: list[str] = []
        self.fail_after = 10**9
        self.error = 0.0  # of a scorer's logits

    def _wide(self, row: tune.Floats) -> np.ndarray:
        return np.r_[row, np.zeros(SIZE - HIDDEN)].astype(np.float32)

    def open_states(self, folder: Path, **options: Any) -> "Engine":
        return self

    def prompt_ids(self, pair: Pair) -> list[int] | None:
        return None if "refused" in pair.document else list(pair.document.encode())

    def states(self, prompts: Sequence[list[int]]) -> np.ndarray:
        texts = [bytes(ids).decode() for ids in prompts]
        if len(self.read) + len(texts) > self.fail_after:
            raise EngineError("the engine is finished")
        self.read += texts
        return np.stack([self.states_of[text] for text in texts])

    def close(self) -> None:
        """Nothing to close."""

    def load(self, settings: Any, **options: Any) -> Any:
        (head,) = read_rows(Path(settings.model), tune.HEAD, [0])

        def score(pairs: Sequence[Pair], *, flush_seconds: float) -> Iterator[Any]:
            scores = [
                SimpleNamespace(pair=pair, logit=float(self.states_of[pair.document] @ head) + self.error)
                for pair in pairs
            ]
            yield SimpleNamespace(scores=scores)

        return SimpleNamespace(score=score, close=self.close)


def examples_of(world: World, *, missing: tuple[str, ...] = ()) -> Examples:
    """The pairs of a world as examples."""
    sides: list[list[Example]] = []
    place = 0
    for side in (world.train, world.held):
        made = []
        for topic, opens, exposure, shown in zip(
            side.topics, side.opens, side.exposure, side.impressions, strict=True
        ):
            made.append(
                Example(
                    topic=f"topic-{topic}",
                    instruction="judge",
                    query=f"query {topic}",
                    document_id=place,
                    text=f"story {place} {SECRET}",
                    language="en",
                    label=float(opens / exposure),
                    weight=float(exposure),
                    impressions=int(shown),
                    logit=0.0,
                    cluster=place,
                    published_at=NOON - timedelta(hours=place),
                )
            )
            place += 1
        sides.append(made)
    return Examples(*sides, [], NOON, NAIVE, {"example": place}, missing)


@pytest.fixture
def newsroom(room: Newsroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Newsroom:
    monkeypatch.setenv("RERANK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(
        scorers,
        "identity",
        lambda settings: identify(
            Path(settings.model), precision="auto", max_document_tokens=settings.max_document_tokens
        ),
    )
    return room.tuned(learning_folder=tmp_path / "learned")


@pytest.fixture
def learn(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains on a world; options of the training's settings may be given. `learn.kept` has the scorers of kept lessons."""

    def run(
        world: World,
        engine: Engine | None = None,
        missing: tuple[str, ...] = (),
        minutes: float | None = None,
        **settings: Any,
    ) -> training.Trained:
        engine = engine or Engine(world)
        room = newsroom.tuned(**settings)
        monkeypatch.setattr(training, "collect", lambda *_, **__: examples_of(world, missing=missing))
        monkeypatch.setattr(
            training,
            "keep_lessons",
            lambda *_, scorer_id, learned: run.kept.append((scorer_id, len(learned))),  # type: ignore[attr-defined]
        )
        monkeypatch.setattr(states, "VllmStates", engine.open_states)
        monkeypatch.setattr(scorers, "load", engine.load)
        return training.train(room.database, room.settings, minutes=minutes)

    run.kept = []  # type: ignore[attr-defined]
    return run


def test_a_preference_becomes_a_proposal_that_changes_no_page(newsroom: Newsroom, learn: Any) -> None:
    world = make_world(7)
    trained = learn(world)
    assert (trained.verdict, trained.sentence) == ("proposed", "every check passed")
    assert trained.folder.parent == newsroom.settings.learning_folder
    assert [file.name for file in trained.folder.parent.iterdir()] == [
        trained.folder.name
    ]  # no parts are left
    (row,) = promote.trainings(newsroom.database, "news")
    assert (row["scorer_id"], row["location"], row["used_by"]) == (trained.scorer_id, str(trained.folder), [])
    assert row["record"]["train_topics"] == 16
    assert [check["name"] for check in row["record"]["checks"]] == [
        "readers",
        "canary",
        "judgements",
        "spread",
    ]
    assert learn.kept == [(trained.scorer_id, 400)]
    assert newsroom.value("SELECT count(*) FROM rerank.promotion") == 0
    assert newsroom.value("SELECT count(*) FROM rerank.publication") == 0


def test_no_preference_is_refused_and_the_record_says_by_how_much(newsroom: Newsroom, learn: Any) -> None:
    trained = learn(make_world(11, taste=0.0, follows_base=0.0))
    assert trained.verdict == "refused"
    assert trained.sentence.startswith("readers: ")
    assert trained.scorer_id is None
    assert list(newsroom.settings.learning_folder.iterdir()) == []
    assert learn.kept == []


def test_too_little_is_skipped_before_an_engine_starts(learn: Any) -> None:
    world = make_world(7)
    engine = Engine(world)
    engine.fail_after = 0
    trained = learn(world, engine, missing=("8 topics are needed, there are 3",))
    assert (trained.verdict, trained.sentence) == ("skipped", "8 topics are needed, there are 3")


def test_a_training_that_was_killed_goes_on_where_it_was(newsroom: Newsroom, learn: Any) -> None:
    world = make_world(7)
    engine = Engine(world)
    engine.fail_after = 200
    with pytest.raises(EngineError):
        learn(world, engine)
    done = len(engine.read)
    assert done == 192
    engine.fail_after = 10**9
    assert learn(world, engine).verdict == "proposed"
    assert len(engine.read) == len(set(engine.read)) == len(engine.states_of)


def test_a_damaged_part_is_read_again(newsroom: Newsroom, learn: Any) -> None:
    world = make_world(7)
    engine = Engine(world)
    engine.fail_after = 100
    with pytest.raises(EngineError):
        learn(world, engine)
    (part,) = newsroom.settings.learning_folder.rglob("*.npz")
    part.write_bytes(part.read_bytes()[:1000])
    engine.fail_after = 10**9
    assert learn(world, engine).verdict == "proposed"


def test_the_deadline_ends_it_and_what_was_read_is_kept(newsroom: Newsroom, learn: Any) -> None:
    world = make_world(7)
    engine = Engine(world)
    with pytest.raises(states.NotFinished, match=r"0 of \d+ pairs are read and kept"):
        learn(world, engine, minutes=0)
    assert promote.trainings(newsroom.database, "news") == []
    assert learn(world, engine).verdict == "proposed"


def test_an_engine_with_other_logits_ends_it_and_leaves_no_folder(newsroom: Newsroom, learn: Any) -> None:
    world = make_world(7)
    engine = Engine(world)
    engine.error = 0.01
    with pytest.raises(ModelError, match=r"differ by 0\.01"):
        learn(world, engine)
    assert not [name for name in newsroom.settings.learning_folder.iterdir() if not name.name.startswith(".")]


def traces(newsroom: Newsroom) -> list[str]:
    """Where the text of articles is found: files of the learning folder, and records."""
    wanted = SECRET.encode()
    folder = newsroom.settings.learning_folder
    found = [str(file) for file in folder.rglob("*") if file.is_file() and wanted in file.read_bytes()]
    records = newsroom.sql("SELECT record::text || sentence FROM rerank.training")
    return found + [record for (record,) in records if SECRET in record]


def test_no_file_and_no_record_has_a_text(newsroom: Newsroom, learn: Any) -> None:
    world = make_world(7)
    engine = Engine(world)
    engine.fail_after = 200
    with pytest.raises(EngineError):
        learn(world, engine)
    assert list(newsroom.settings.learning_folder.rglob("*.npz"))
    assert traces(newsroom) == []
    engine.fail_after = 10**9
    learn(world, engine)
    assert traces(newsroom) == []


def test_control_a_card_with_a_text_is_found(
    newsroom: Newsroom, learn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = training._record
    monkeypatch.setattr(
        training,
        "_record",
        lambda settings, base, examples, seed: {
            **record(settings, base, examples, seed),
            "example": examples.train[0].text,
        },
    )
    learn(make_world(7))
    assert len(traces(newsroom)) == 2


def test_memory_is_bounded_and_what_is_left_out_is_counted(
    learn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_most_examples", lambda hidden: 200)
    assert learn(make_world(7)).record["examples_over_memory"] == 200


def test_learning_without_a_folder_says_what_to_set(learn: Any) -> None:
    with pytest.raises(SettingsError, match="RERANK_LEARNING_FOLDER"):
        learn(make_world(7), learning_folder=None)


def test_the_plan_counts_pairs_and_memory_without_an_engine(
    newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "collect", lambda *_, **__: examples_of(make_world(7), missing=("opens",)))
    found = training.plan(newsroom.database, newsroom.settings)
    assert (found.pairs, found.topics, found.seconds, found.missing) == (400, 16, None, ("opens",))
    assert 1 <= found.mib < 10


def test_the_card_is_the_record(learn: Any) -> None:
    trained = learn(make_world(7))
    card = json.loads((trained.folder / tune.CARD).read_text())
    assert card == {name: value for name, value in trained.record.items() if name != "engine_error"}
