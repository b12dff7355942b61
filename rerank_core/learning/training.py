"""One training: examples → states → head → checks → a proposal, or the sentence that says why there is none.

A training changes no page: a proposal is a folder and a registered scorer. Somebody tries or promotes it, or nobody does.

It may be stopped at any time. States are kept in parts, by the digest of their prompt, until a training ends; the next
training goes on from them. Texts are in memory alone: the folder and the record hold counts, dates, figures and vectors.
"""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rerank_core.errors import InputError, ModelError, SettingsError
from rerank_core.evaluation import judgements
from rerank_core.evaluation.evaluate import RunPairs
from rerank_core.learning import gate, tune
from rerank_core.learning.examples import Example, Examples, collect, keep_lessons
from rerank_core.learning.states import Progress, read_states
from rerank_core.models import scorers
from rerank_core.models.canary import read_canary
from rerank_core.models.identity import ScorerIdentity, read_checkpoint
from rerank_core.models.weights import resolve_model
from rerank_core.records import Pair
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import runs
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

MEMORY_MIB = 2048  # for states
STATE_BYTES = 32  # of each number of a state, while a head is learned
EXACT = {"float32": 1e-3}  # how far a logit of the engine may be from the learned one
ROUGH = 0.25  # the same, in half precision
PROBES = 16  # pairs that are scored to see it

Judged = Mapping[tuple[str, str], tuple[int, Pair]]  # (topic, article) → grade and pair


@dataclass(frozen=True)
class Trained:
    """What became of a training."""

    training_id: int
    verdict: str  # proposed, refused or skipped
    sentence: str
    scorer_id: int | None  # of the proposal
    folder: Path | None  # of the proposal
    record: Mapping[str, Any]  # counts, dates, figures; no text


@dataclass(frozen=True)
class Plan:
    """What a training would do."""

    pairs: int
    topics: int
    seconds: float | None  # at the latest speed of the base; null: it has not scored here yet
    mib: int  # memory for states, beside the engine
    missing: tuple[str, ...]  # a sentence for each minimum that is not reached


def plan(database: Database, settings: Settings) -> Plan:
    """Count what a training would read, without an engine. Raises SettingsError if there is no folder for it."""
    _folder(settings)
    base, prompts = scorers.identity(settings), scorers.prompter(settings)
    examples = collect(database, settings)
    pairs = _pairs(_all(examples))
    tokens = 0
    for pair in pairs:
        with suppress(InputError):  # the engine will refuse it, too
            built = prompts.prompt(instruction=pair.instruction, query=pair.query, document=pair.document)
            tokens += len(built.ids)
    with database.transaction() as connection:
        speed = db.one(connection, "rerank.speed", scorer_id=scorers.register(connection, base))
    hidden = _hidden(settings)
    return Plan(
        pairs=len(pairs),
        topics=len({example.topic for example in _all(examples)}),
        seconds=None if speed is None else speed["load_seconds"] + tokens * speed["seconds_per_token"],
        mib=1
        + (min(len(_all(examples)), _most_examples(hidden)) * hidden * STATE_BYTES + 3 * 8 * hidden**2)
        // 2**20,
        missing=tuple(examples.missing),
    )


def train(
    database: Database,
    settings: Settings,
    *,
    judged: Judged | None = None,
    seed: int = 0,
    minutes: float | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Trained:
    """Learn a head from readers, judge it, and register it if it passes.

    `seed` deals topics to folds. `minutes` limits how long pairs are read. Raises NotFinished (retryable) when they
    have passed, SettingsError if there is no folder for learned checkpoints, ModelError
    if the base must not be used or the engine's logits are not those that were learned, EngineError (retryable) if the engine
    fails.
    """
    _folder(settings)
    base, folder = scorers.identity(settings), resolve_model(settings.model)
    tune.refuse_learned(folder)
    examples = collect(database, settings)
    keep = _Keeper(database, settings, base, datetime.now(UTC), _record(settings, base, examples, seed))
    if examples.missing:
        return keep.end("skipped", "; ".join(examples.missing))
    everything = _all(examples)
    drawn = _drawn(len(everything), _hidden(settings), seed)
    chosen = [everything[place] for place in drawn.tolist()]
    keep.record["examples_over_memory"] = len(everything) - len(chosen)
    pairs = _pairs(chosen)
    graded, cases = judged or {}, read_canary(folder).pairs()
    asked = [*pairs, *(pair for _, pair in graded.values()), *cases]
    states, head = read_states(
        settings, base, asked, parts=_parts(settings), minutes=minutes, on_progress=on_progress
    )
    of_pairs, of_graded, of_cases = np.split(states, [len(pairs), len(pairs) + len(graded)])
    known = np.isfinite(of_pairs).all(axis=1)
    with tune.one_thread():
        lists, read = _lists(chosen, of_pairs)
        trained, held = np.searchsorted(drawn[read], np.cumsum([len(examples.train), len(examples.held_out)]))
        folds = tune.cross_fit(lists.of(slice(trained)), head, seed=seed)
        checks = [gate.readers(lists.of(slice(trained, held)), head, folds)]
        change = tune.refit(lists, head, folds)
    if change.any():
        checks += [
            gate.canary(_cases(cases, of_cases), head, change),
            gate.judgements(*_judged(graded, of_graded), head, change),
            gate.spread(of_pairs[known], head, change),
        ]
    keep.record |= {
        "refused_pairs": int((~known).sum()),
        "slope": folds.slope,
        "anchor": folds.anchor,
        "cross_fitted_gain_an_open": dict(zip(map(str, tune.ANCHORS), folds.gains, strict=True)),
        "checks": [asdict(check) for check in checks],
    }
    refusal = gate.refusal(checks)
    if refusal is not None:
        return keep.end("refused", refusal)
    probes = np.flatnonzero(known)[:PROBES]
    wanted = of_pairs[probes] @ (head + change)
    return _propose(keep, chosen, folder, head + change, [pairs[place] for place in probes], wanted)


@dataclass
class _Keeper:
    """Writes the record of a training."""

    database: Database
    settings: Settings
    base: ScorerIdentity
    began: datetime
    record: dict[str, Any]

    def end(
        self, verdict: str, sentence: str, *, scorer_id: int | None = None, folder: Path | None = None
    ) -> Trained:
        """Write the record; returns what became of the training. Kept states go, unless it was skipped."""
        with self.database.transaction() as connection:
            row = db.the(
                connection,
                "training.add",
                pipeline=self.settings.pipeline,
                base_scorer_id=scorers.register(connection, self.base),
                scorer_id=scorer_id,
                verdict=verdict,
                sentence=sentence,
                record=json.dumps(self.record),
                began_at=self.began,
            )
        if verdict != "skipped":
            shutil.rmtree(_parts(self.settings), ignore_errors=True)
        log.info("training %d %s: %s", row["training_id"], verdict, sentence)
        return Trained(row["training_id"], verdict, sentence, scorer_id, folder, self.record)


def _propose(
    keep: _Keeper,
    learned_from: Sequence[Example],
    base: Path,
    head: tune.Floats,
    probes: Sequence[Pair],
    wanted: tune.Floats,
) -> Trained:
    """Write the learned checkpoint, see that the engine gives its logits, and register it."""
    settings = keep.settings
    folder = _folder(settings).absolute() / f"{settings.pipeline}-{keep.began:%Y%m%dT%H%M%S}"
    tune.write(base, folder, head=head, card=keep.record)
    tuned = settings.model_copy(update={"model": str(folder)})
    try:
        identity = scorers.identity(tuned)
        numbered = [replace(pair, query_id=place) for place, pair in enumerate(probes)]
        with closing(scorers.load(tuned, pairs=len(probes))) as scorer:  # runs its canary
            chunks = list(scorer.score(numbered, flush_seconds=60.0))
        scores = [score for chunk in chunks for score in chunk.scores]
        errors = [abs(score.logit - float(wanted[score.pair.query_id])) for score in scores]
        keep.record["engine_error"] = error = max(errors, default=float("inf"))
        if error > EXACT.get(identity.precision, ROUGH) and settings.passages == "lead":
            raise ModelError(
                f"the engine's logits differ by {error:.4f} from those that were learned; report it, with the base and the"
                " version of vLLM"
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    with keep.database.transaction() as connection:
        scorer_id = scorers.place(connection, identity)
    keep_lessons(keep.database, settings, scorer_id=scorer_id, learned=learned_from)
    return keep.end("proposed", "every check passed", scorer_id=scorer_id, folder=folder)


def judged_pairs(database: Database, store: Store, settings: Settings) -> Judged:
    """What RERANK_LEARNING_QRELS judges of the run behind the page; empty if it names nothing, or there is no page."""
    if settings.learning_qrels is None:
        return {}
    pairs = RunPairs(database, store, runs.current_run(database, settings.pipeline))
    with database.transaction(read_only=True) as connection:
        wanted = judgements.read(settings.learning_qrels, connection)
    order = pairs.order("judged", pairs.by_model(), wanted)
    texts = pairs.texts()
    return {
        (topic, article): (grade, texts[topic, article])
        for topic, of in order.judgements.items()
        for article, grade in of.items()
        if (topic, article) in texts
    }


def _judged(
    graded: Judged, states: tune.Floats
) -> tuple[dict[str, dict[str, tune.Floats]], dict[str, dict[str, int]]]:
    """topic → article → state, and the same of grades."""
    by_topic: dict[str, dict[str, tune.Floats]] = {}
    grades: dict[str, dict[str, int]] = {}
    for ((topic, article), (grade, _)), state in zip(graded.items(), states, strict=True):
        if np.isfinite(state).all():
            by_topic.setdefault(topic, {})[article] = state
            grades.setdefault(topic, {})[article] = grade
    return by_topic, grades


def _lists(chosen: Sequence[Example], states: tune.Floats) -> tuple[tune.Lists, tune.Numbers]:
    """What can be learned from, and the places of the examples that were read. `states` are those of `_pairs(chosen)`."""
    places = {key: place for place, key in enumerate(dict.fromkeys(map(_key, chosen)))}
    place = np.asarray([places[_key(example)] for example in chosen])
    numbers = {topic: number for number, topic in enumerate(sorted({example.topic for example in chosen}))}
    weights = np.asarray([example.weight for example in chosen], dtype=np.float64)
    read = np.flatnonzero(np.asarray(np.isfinite(states).all(axis=1))[place])
    lists = tune.Lists(
        states=states[place[read]],
        topics=np.asarray([numbers[example.topic] for example in chosen], dtype=np.int64)[read],
        opens=(np.asarray([example.label for example in chosen], dtype=np.float64) * weights)[read],
        exposure=np.maximum(weights, 1e-12)[read],
        impressions=np.asarray([example.impressions for example in chosen], dtype=np.float64)[read],
    )
    return lists, read


def _cases(pairs: Sequence[Pair], states: tune.Floats) -> list[tune.Floats]:
    numbers = np.asarray([pair.query_id for pair in pairs])
    return [states[numbers == number] for number in np.unique(numbers)]


def _all(examples: Examples) -> list[Example]:
    return [*examples.train, *examples.held_out, *examples.later]


def _key(example: Example) -> tuple[str, str, int]:
    return example.instruction, example.query, example.document_id


def _pairs(examples: Sequence[Example]) -> list[Pair]:
    """The pairs of these examples, each once, in their order."""
    found = {
        _key(each): Pair(0, each.document_id, date.min, each.instruction, each.query, each.text)
        for each in examples
    }
    return list(found.values())


def _hidden(settings: Settings) -> int:
    return int(read_checkpoint(resolve_model(settings.model)).config["hidden_size"])


def _most_examples(hidden: int) -> int:
    return MEMORY_MIB * 2**20 // (hidden * STATE_BYTES)


def _drawn(count: int, hidden: int, seed: int) -> tune.Numbers:
    """The places of as many examples as fit the memory, drawn by the seed and in their order."""
    most = min(count, _most_examples(hidden))
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _record(settings: Settings, base: ScorerIdentity, examples: Examples, seed: int) -> dict[str, Any]:
    """The model card: what was learned from, without texts."""
    times = [example.published_at for example in _all(examples)]
    return {
        "method": "head",
        "base": base.digest,
        "base_location": settings.model,
        "pipeline": settings.pipeline,
        "seed": seed,
        "train_pairs": len(examples.train),
        "later_pairs": len(examples.later),
        "train_topics": len({example.topic for example in examples.train}),
        "train_opens": round(sum(example.label * example.weight for example in examples.train), 1),
        "held_out_pairs": len(examples.held_out),
        "held_out_topics": len({example.topic for example in examples.held_out}),
        "published_from": min(times).isoformat() if times else None,
        "published_to": max(times).isoformat() if times else None,
        "cut": examples.cut.isoformat() if examples.cut else None,
        "buckets": dict(examples.buckets),
        "examination": [[effect.at, round(effect.factor, 4)] for effect in examples.positions.examination],
        "freshness": [[effect.at, round(effect.factor, 4)] for effect in examples.positions.freshness],
    }


def _folder(settings: Settings) -> Path:
    if settings.learning_folder is None:
        raise SettingsError(
            "RERANK_LEARNING_FOLDER is not set; name a folder for learned checkpoints that every scoring host reads"
        )
    return settings.learning_folder


def _parts(settings: Settings) -> Path:
    return _folder(settings) / f".states-{settings.pipeline}"
