"""Learn a score head from what readers opened, and write it as a checkpoint of its own.

**What is learned.** Readers of one topic share their opens out among its articles:

    share of pair i  =  e_i · exp(b · s_i) / Σ_j e_j · exp(b · s_j)

Here s_i = h_i · (w + v) is a pair's logit, w the base's head, h_i the last hidden state, and e_i the *exposure*: impressions times how
likely a row at that rank and age is looked at. So position is taken out by an offset, and no rare open gets a large weight. That
is the multinomial form of the Poisson regression that measures examination (conditional on a topic's opens, Poisson counts are
multinomial: Birch 1963; as a ranking loss, ListNet: Cao et al. 2007). The slope b says how steeply opens follow the base's logits.
It is fitted first, and then kept.

**What holds it back.** The loss has an anchor: κ/2 · mean((h_i · v)²), plus a small ridge. A logit of 0 and a topic's `min_score`
keep their meaning, because every logit that moves costs something. Cross-fitting over topics chooses κ; if no κ
beats the base, v = 0: nothing is learned. The loss is convex, so Newton's method finds its one minimum: it needs no rate and no
number of epochs. The heads of the folds are kept: the gate asks readers about each topic by a head that has not seen it.

**What is written.** The base's files, byte for byte, and its tensors with one more, `score.weight`, in float32. Always from the base:
a checkpoint that was learned before is refused.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_core.errors import InputError, ModelError
from rerank_core.models.canary import FILE_NAME as CANARY
from rerank_core.models.new_folder import new_folder
from rerank_core.models.quantise import INDEX, order_only
from rerank_core.models.weights import read_json, weight_files

CARD = "LEARNED.json"  # what a learned checkpoint says of itself
HEAD = "score.weight"
ARCHITECTURE = "Qwen3ForSequenceClassification"

# κ for each open: from nearly free to nearly the base.
ANCHORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
FOLDS = 5
LEAST_SLOPE, MOST_SLOPE = 0.1, 2.0
RIDGE = 0.05  # of the anchor, by the states' own spread
STEPS = 25  # of Newton's method; it needs about six

_COPY_BYTES = 8 * 2**20

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lists:
    """Pairs, and what readers did with them. Rows of one topic make one list."""

    states: Floats  # (pairs, hidden): last hidden states
    topics: Numbers  # (pairs,): number of each pair's topic
    opens: Floats  # (pairs,)
    exposure: Floats  # (pairs,): above 0; impressions × how likely a row there is looked at
    impressions: Floats  # (pairs,): above 0

    def of(self, keep: npt.NDArray[np.generic] | slice) -> "Lists":
        """The same, of some pairs: those of a mask, or at places."""
        return Lists(*(column[keep] for column in vars(self).values()))

    @property
    def starts(self) -> Numbers:
        """Where each list begins. Rows must be sorted by topic."""
        return np.flatnonzero(np.r_[True, self.topics[1:] != self.topics[:-1]])


@dataclass(frozen=True)
class Folds:
    """Heads that were learned from other topics, for each topic. A topic that is in no fold may take any of them."""

    changes: Floats  # (folds, hidden): the learned head less the base's; zeros: nothing was learned
    of_topic: Mapping[int, int]  # topic → the fold whose head was learned without it
    slope: float  # how steeply opens follow the base's logits
    anchor: float  # κ for each open; 0: nothing was learned
    # Of each κ in ANCHORS: log-likelihood for each open over the base's, on topics not learned from.
    gains: Sequence[float]


def cross_fit(lists: Lists, base: Floats, *, seed: int = 0) -> Folds:
    """Learn from all topics but those of one fold, for each fold, and choose κ. `base` has shape (hidden,).

    `seed` deals the topics to folds. Raises InputError if fewer than two topics have opens on two pairs.
    """
    lists = told(lists)
    names = np.unique(lists.topics)
    if len(names) < 2:
        raise InputError(f"topics with opens on two articles: {len(names)}; learning needs two at least")
    slope = fit_slope(lists, lists.states @ base)
    count = min(FOLDS, len(names))
    dealt = np.random.default_rng(seed).permutation(np.arange(len(names)) % count)
    folds = dealt[np.searchsorted(names, lists.topics)]
    gains = np.zeros((len(ANCHORS), count))
    changes = np.zeros((len(ANCHORS), count, len(base)))
    for fold in range(count):
        train, held = lists.of(folds != fold), lists.of(folds == fold)
        before = likelihood(held, slope * (held.states @ base))
        change = np.zeros_like(base)
        for place, anchor in reversed(list(enumerate(ANCHORS))):
            change = fit(train, base, slope=slope, anchor=anchor, start=change)
            changes[place, fold] = change
            gains[place, fold] = likelihood(held, slope * (held.states @ (base + change))) - before
    total = gains.sum(axis=1) / lists.opens.sum()
    best = int(total.argmax())
    helps = bool(total[best] > 0)
    return Folds(
        changes=changes[best] if helps else np.zeros_like(changes[best]),
        of_topic=dict(zip(names.tolist(), dealt.tolist(), strict=True)),
        slope=slope,
        anchor=ANCHORS[best] if helps else 0.0,
        gains=tuple(total.tolist()),
    )


def refit(lists: Lists, base: Floats, folds: Folds) -> Floats:
    """The change of the head that all lists ask for, with the folds' κ and slope; zeros if they learned nothing."""
    return (
        fit(told(lists), base, slope=folds.slope, anchor=folds.anchor)
        if folds.anchor
        else np.zeros_like(base)
    )


def one_thread() -> AbstractContextManager[object]:
    """Keeps numpy to one thread, if the extra `learning` is installed: waiting threads cost up to ten times the work."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1)  # type: ignore[no-any-return]


def fit_slope(lists: Lists, logits: Floats) -> float:
    """b, the slope of opens over these logits, kept within LEAST_SLOPE and MOST_SLOPE. Rows must be sorted by topic."""
    slope = 0.5
    for _ in range(STEPS):
        share, opens = _shares(lists, slope * logits)
        mean = _by_list(lists, share * logits)
        first = (lists.opens * logits).sum() - (opens * mean).sum()
        second = (opens * (_by_list(lists, share * logits**2) - mean**2)).sum()
        step = first / max(second, 1e-9)
        slope = float(np.clip(slope + np.clip(step, -0.5, 0.5), LEAST_SLOPE, MOST_SLOPE))
        if abs(step) < 1e-6:
            break
    return slope


def fit(lists: Lists, base: Floats, *, slope: float, anchor: float, start: Floats | None = None) -> Floats:
    """v, the change of the head that minimises the loss; the search begins at `start`. Lists must be `told`."""
    states = lists.states
    count, hidden = states.shape
    weight = anchor * lists.opens.sum()
    spread = float(((states - states.mean(axis=0)) ** 2).sum(axis=1).mean()) or 1.0
    pull = weight * (states.T @ states / count + RIDGE * spread * np.eye(hidden) / hidden)
    logits = states @ base
    change = np.zeros(hidden) if start is None else start
    for _ in range(STEPS):
        share, opens = _shares(lists, slope * (logits + states @ change))
        weights = share * np.repeat(opens, np.diff(np.r_[lists.starts, count]))
        means = np.add.reduceat(share[:, None] * states, lists.starts, axis=0)
        slant = slope * (states.T @ (weights - lists.opens)) + pull @ change
        bend = slope**2 * ((states.T * weights) @ states - (means.T * opens) @ means) + pull
        step = np.linalg.solve(bend, slant)
        move = float(np.sqrt(((states @ step) ** 2).mean()))
        change = change - step * min(1.0, 2.0 / max(move, 1e-12))  # no step moves logits by more than 2
        if move < 1e-6:
            break
    return change


def likelihood(lists: Lists, scores: Floats) -> float:
    """The log-likelihood of how readers shared their opens out, given scores b · s. Rows must be sorted by topic."""
    share, _ = _shares(lists, scores)
    return float((lists.opens * np.log(np.maximum(share, 1e-300))).sum())


def _shares(lists: Lists, scores: Floats) -> tuple[Floats, Floats]:
    """Each pair's expected share of its topic's opens, and the opens of each topic."""
    starts = lists.starts
    sizes = np.diff(np.r_[starts, len(scores)])
    raised = np.log(lists.exposure) + scores
    raised = np.exp(raised - np.repeat(np.maximum.reduceat(raised, starts), sizes))
    share = raised / np.repeat(np.add.reduceat(raised, starts), sizes)
    return share, np.add.reduceat(lists.opens, starts)


def _by_list(lists: Lists, values: Floats) -> Floats:
    return np.asarray(np.add.reduceat(values, lists.starts))


def told(lists: Lists) -> Lists:
    """The lists that tell something: sorted by topic, without topics that have no opens or one pair."""
    order = np.argsort(lists.topics, kind="stable")
    lists = lists.of(order)
    if not len(order):
        return lists
    sizes = np.diff(np.r_[lists.starts, len(order)])
    opens = _by_list(lists, lists.opens)
    return lists.of(np.repeat((opens > 0) & (sizes > 1), sizes))


def refuse_learned(folder: Path) -> None:
    """Raises ModelError if this checkpoint was learned itself."""
    if (folder / CARD).exists():
        raise ModelError(
            f"{folder} was learned from readers itself: learning begins at its base; set RERANK_MODEL to the base"
        )


def write(base: Path, target: Path, *, head: Floats, card: dict[str, Any]) -> None:
    """Write the base with this head, of shape (hidden,), as the new folder `target`, whole or not at all.

    Raises ModelError if the base was learned itself, InputError if the target exists or cannot be written.
    """
    refuse_learned(base)
    with new_folder(target) as draft:
        weights = weight_files(base)
        for file in sorted(base.iterdir()):
            if file.is_file() and file not in weights and file.suffix not in _NO_COPY:
                shutil.copyfile(file, draft / file.name)
        for file in weights[:-1]:
            shutil.copyfile(file, draft / file.name)
        _add_head(weights[-1], draft / weights[-1].name, head.astype("<f4"))
        _adapt(draft, weights[-1].name, card)


_NO_COPY: Sequence[str] = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".safetensors", ".gguf", ".onnx")


def _add_head(source: Path, target: Path, head: npt.NDArray[np.float32]) -> None:
    """Copy a weight file with one more tensor. It comes first: what is wider must begin at a multiple of its size."""
    with source.open("rb") as reader, target.open("wb") as writer:
        header = json.loads(reader.read(int.from_bytes(reader.read(8), "little")))
        for name, entry in header.items():
            if name != "__metadata__":
                entry["data_offsets"] = [offset + head.nbytes for offset in entry["data_offsets"]]
        first = {"dtype": "F32", "shape": [1, len(head)], "data_offsets": [0, head.nbytes]}
        metadata = {"__metadata__": header.pop("__metadata__", {"format": "pt"})}
        text = json.dumps({**metadata, HEAD: first, **header}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        writer.write(len(text).to_bytes(8, "little") + text + head.tobytes())
        shutil.copyfileobj(reader, writer, _COPY_BYTES)


def _adapt(draft: Path, last: str, card: dict[str, Any]) -> None:
    """What must differ from the base: the architecture, the index of the tensors, recorded logits of the canary; and the card."""
    config = read_json(draft / "config.json", missing="copy the checkpoint again")
    padding = config.get("pad_token_id")
    config |= {
        "architectures": [ARCHITECTURE],
        "num_labels": 1,
        "pad_token_id": config.get("eos_token_id") if padding is None else padding,
    }
    changed = {"config.json": config, CARD: card}
    if (draft / INDEX).exists():
        index = read_json(draft / INDEX, missing="")
        index["weight_map"][HEAD] = last
        changed[INDEX] = index
    if (draft / CANARY).exists() and "logits" in (draft / CANARY).read_text(encoding="utf-8"):
        changed[CANARY] = order_only(read_json(draft / CANARY, missing=""))
    for name, content in changed.items():
        (draft / name).write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
