"""The head: it learns what readers like and not where rows were, is held by its anchor, and is written whole."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo_checkpoint import CHECKPOINT
from learning_worlds import World, agreement, make_world

from rerank_core.errors import InputError, ModelError
from rerank_core.learning import tune
from rerank_core.models.identity import identify, read_checkpoint
from rerank_core.models.weights import read_rows


def learn(world: World, train: tune.Lists | None = None) -> tune.Floats:
    """The change that a training would propose."""
    train = train or world.train
    return tune.refit(train, world.base, tune.cross_fit(train, world.base))


def held_out(seed: int, **options: float | bool) -> tuple[float, float]:
    """Agreement with readers' taste on articles that were not learned from: of the base, and of the learned head."""
    world = make_world(seed, **options)  # type: ignore[arg-type]
    change = learn(world)
    return tuple(  # type: ignore[return-value]
        agreement(world.held, world.held.states @ scores, world.taste)
        for scores in (world.base, world.base + change)
    )


def test_it_learns_what_readers_like() -> None:
    for seed in range(5):
        base, learned = held_out(seed)
        assert learned > base + 0.2


def test_debiased_beats_naive() -> None:
    """Naive examples teach that what stood above is liked."""
    debiased = [held_out(seed, crowd=300.0)[1] for seed in range(5)]
    naive = [held_out(seed, crowd=300.0, debiased=False)[1] for seed in range(5)]
    assert sum(one > other for one, other in zip(debiased, naive, strict=True)) == 5


def test_where_nothing_helps_held_out_topics_nothing_is_learned() -> None:
    changes = [learn(make_world(seed, taste=0.0, crowd=30.0)) for seed in range(10)]
    assert any(not change.any() for change in changes)


def test_the_anchor_keeps_logits_where_they_were() -> None:
    world = make_world(1)
    train = tune.told(world.train)
    moved = []
    for anchor in (0.01, 1.0, 100.0):
        change = tune.fit(train, world.base, slope=0.3, anchor=anchor)
        moved.append(float(np.sqrt(((train.states @ change) ** 2).mean())))
    assert moved[0] > moved[1] > moved[2]
    assert moved[2] < 0.05


def test_the_fit_is_the_minimum_of_its_loss() -> None:
    world = make_world(2)
    train = tune.told(world.train)
    anchor, slope = 0.3, 0.4
    change = tune.fit(train, world.base, slope=slope, anchor=anchor)
    spread = ((train.states - train.states.mean(axis=0)) ** 2).sum(axis=1).mean()

    def loss(change: tune.Floats) -> float:
        held = (train.states @ change) @ (train.states @ change) / len(train.states)
        held += tune.RIDGE * spread / len(change) * change @ change
        fitted = tune.likelihood(train, slope * (train.states @ (world.base + change)))
        return float(anchor * train.opens.sum() / 2 * held - fitted)

    rng = np.random.default_rng(0)
    assert all(loss(change) < loss(change + 0.01 * rng.normal(size=len(change))) for _ in range(20))


def test_the_order_of_rows_does_not_matter() -> None:
    world = make_world(3)
    mixed = np.random.default_rng(0).permutation(len(world.train.topics))
    shuffled = tune.Lists(*(column[mixed] for column in vars(world.train).values()))
    np.testing.assert_allclose(learn(world, shuffled), learn(world), atol=1e-8)


def test_each_fold_has_a_head_that_its_topics_did_not_teach() -> None:
    world = make_world(5, topics=6)
    folds = tune.cross_fit(world.train, world.base, seed=3)
    assert sorted(folds.of_topic) == list(range(6))
    opened = world.train.opens.copy()
    own = np.isin(world.train.topics, [topic for topic, fold in folds.of_topic.items() if fold == 0])
    opened[own] = np.random.default_rng(0).permutation(opened[own])
    again = tune.fit(
        tune.told(replace(world.train, opens=opened).of(~own)),
        world.base,
        slope=folds.slope,
        anchor=folds.anchor,
    )
    np.testing.assert_allclose(folds.changes[0], again, atol=1e-6)
    assert np.abs(folds.changes[0] - folds.changes[1]).max() > 1e-3


def test_topics_that_tell_nothing_are_left_out_and_one_topic_is_too_few() -> None:
    world = make_world(4)
    silent = tune.Lists(
        world.train.states,
        world.train.topics,
        np.where(world.train.topics == 0, world.train.opens, 0),
        world.train.exposure,
        world.train.impressions,
    )
    assert set(tune.told(silent).topics) == {0}
    with pytest.raises(InputError, match="learning needs two at least"):
        tune.cross_fit(silent, world.base)


# ── The folder ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    target = tmp_path / "learned"
    tune.write(CHECKPOINT, target, head=np.arange(168.0), card={"method": "head"})
    return target


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_folder_is_a_checkpoint_of_another_scorer_with_the_same_prompt(learned: Path) -> None:
    assert read_checkpoint(learned).family.name == "qwen3-reranker-seq-cls"
    before, after = (
        identify(folder, precision="auto", max_document_tokens=512) for folder in (CHECKPOINT, learned)
    )
    assert (after.prompt, after.precision) == (before.prompt, before.precision)
    assert after.weights != before.weights
    np.testing.assert_array_equal(read_rows(learned, tune.HEAD, [0]), [np.arange(168.0)])


def test_every_other_file_and_tensor_is_the_bases_byte_for_byte(learned: Path) -> None:
    changed = {"config.json", "model.safetensors", tune.CARD}
    assert {file.name for file in learned.iterdir()} == {file.name for file in CHECKPOINT.iterdir()} | {
        tune.CARD
    }
    for file in CHECKPOINT.iterdir():
        assert (digest(file) == digest(learned / file.name)) == (file.name not in changed), file.name
    data = [
        content[8 + int.from_bytes(content[:8], "little") :]
        for content in ((folder / "model.safetensors").read_bytes() for folder in (CHECKPOINT, learned))
    ]
    assert data[1] == np.arange(168.0, dtype="<f4").tobytes() + data[0]
    assert json.loads((learned / tune.CARD).read_text()) == {"method": "head"}


def test_recorded_logits_of_the_canary_hold_for_the_base_only(tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(CHECKPOINT, base)
    case = {"query": "q", "documents": ["a", "b"], "logits": [2.0, 1.0]}
    (base / "canary.json").write_text(json.dumps({"tolerance": 0.01, "cases": [case]}))
    tune.write(base, tmp_path / "learned", head=np.zeros(168), card={})
    found = json.loads((tmp_path / "learned" / "canary.json").read_text())
    assert found == {"cases": [{"query": "q", "documents": ["a", "b"]}]}


def test_an_index_of_several_weight_files_names_the_head(tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(CHECKPOINT, base)
    names = json.loads((base / "model.safetensors").read_bytes()[8:].split(b"}}")[0] + b"}}")
    index = {"weight_map": {name: "model.safetensors" for name in names if name != "__metadata__"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    tune.write(base, tmp_path / "learned", head=np.zeros(168), card={})
    found = json.loads((tmp_path / "learned" / "model.safetensors.index.json").read_text())
    assert found["weight_map"] == {**index["weight_map"], tune.HEAD: "model.safetensors"}


def test_it_never_learns_from_what_was_learned_and_never_writes_over_anything(
    learned: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="learned from readers itself"):
        tune.write(learned, tmp_path / "again", head=np.zeros(168), card={})
    with pytest.raises(InputError, match="exists"):
        tune.write(CHECKPOINT, learned, head=np.zeros(168), card={})


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tune, "_add_head", full)
    with pytest.raises(InputError, match="No space left"):
        tune.write(CHECKPOINT, tmp_path / "learned", head=np.zeros(168), card={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "rows"), [("model.embed_tokens.weight", [10**9]), ("model.norm.weight", [0]), ("no", [0])]
)
def test_rows_that_are_not_there_are_refused(name: str, rows: list[int]) -> None:
    with pytest.raises(ModelError):
        read_rows(CHECKPOINT, name, rows)
