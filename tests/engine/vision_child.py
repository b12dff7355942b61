"""Pictures in an engine and in transformers; prints what it found, as JSON.

    python -m engine.vision_child FOLDER            write a checkpoint; score pairs of all kinds by both
    python -m engine.vision_child make FOLDER       write a checkpoint whose canary it passes, as trained ones do
    python -m engine.vision_child expect FOLDER     logits by transformers of the pairs on stdin: {"store": url, "pairs": […]}

vision_host.py calls it in a process that has torchvision, or what stands in for it.
"""

import dataclasses
import json
import math
import sys
import warnings
from datetime import date
from pathlib import Path
from typing import Any

from made_renditions import Renditions
from vision_checkpoint import write_vision_checkpoint
from vision_reference import Reference, drawn

from rerank_core.models.canary import FILE_NAME as CANARY_FILE
from rerank_core.models.canary import PICTURED
from rerank_core.models.vision import CANARY, QWEN3_VL, Bounds, nothing_stored
from rerank_core.models.vllm import VllmScorer
from rerank_core.records import Pair
from rerank_core.storage import renditions
from rerank_core.storage.store import Store

BOUNDS = Bounds(picture_tokens=64, clip_tokens=64, media=4)


def make(folder: Path) -> None:
    """A random checkpoint with a canary of its own: two plain pictures in the order that its weights happen to give."""
    write_vision_checkpoint(folder)
    pairs = [pair for pair in PICTURED.pairs() if pair.pictures]
    logits, _ = Reference(folder, BOUNDS).ask(pairs, nothing_stored)
    order = sorted(range(len(pairs)), key=lambda place: -logits[place])
    case = {
        "query": pairs[0].query,
        "documents": [pairs[place].document for place in order],
        "pictures": [[path.removeprefix(CANARY) for path in pairs[place].pictures] for place in order],
        "logits": [logits[place] for place in order],
    }
    (folder / CANARY_FILE).write_text(json.dumps({"tolerance": 1e-3, "cases": [case]}))


def expect(folder: Path) -> None:
    """Logits of pairs whose pictures are in a store, and of the same pairs without pictures."""
    told = json.load(sys.stdin)
    store = Store(told["store"])
    pairs = [
        Pair(0, 0, date.min, **{**given, "pictures": tuple(given["pictures"])}) for given in told["pairs"]
    ]
    reference = Reference(folder, BOUNDS)
    logits, _ = reference.ask(pairs, lambda path: renditions.read(store, path))
    bare, _ = reference.ask([dataclasses.replace(pair, pictures=()) for pair in pairs], nothing_stored)
    print(json.dumps({"logits": logits, "without": bare}))


def compare(folder: Path) -> None:
    """Score, compare, print."""
    write_vision_checkpoint(folder)
    store = Renditions()
    pairs = drawn(store)
    scorer = VllmScorer(
        folder,
        max_document_tokens=96,
        kv_cache_gib=0.25,
        run_canary=False,  # random weights know no order
        bounds=BOUNDS,
        read_medium=store.read,
    )

    def score(chosen: list[Pair]) -> list[Any]:
        chunks = list(scorer.score(chosen, flush_seconds=math.inf))
        assert not any(chunk.refused for chunk in chunks), [chunk.refused for chunk in chunks]
        return [each for chunk in chunks for each in chunk.scores]

    scored = score(pairs)
    again = score(pairs[::-1])[::-1]
    without = score([dataclasses.replace(pair, pictures=()) for pair in pairs])
    canary = score([pair for pair in PICTURED.pairs() if pair.pictures])
    gone = dataclasses.replace(pairs[0], pictures=("shared.media/00/" + "0" * 64 + ".jpg",))
    (last,) = scorer.score([gone, pairs[1]], flush_seconds=math.inf)
    expected, lengths = Reference(folder, BOUNDS).ask(pairs, store.read)
    found = {
        "family": scorer.identity.family,
        "form": QWEN3_VL.name,
        "logits": [each.logit for each in scored],
        "again": [each.logit for each in again],
        "cached": [each.cached_tokens for each in again],
        "without": [each.logit for each in without],
        "canary": [each.logit for each in canary],
        "tokens": [each.prompt_tokens for each in scored],
        "pictured": [bool(pair.pictures) for pair in pairs],
        "expected": expected,
        "lengths": lengths,
        "refused": [refusal.reason for refusal in last.refused],
        "beside": [each.logit for each in last.scores],
    }
    scorer.close()
    print(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    *chosen, target = sys.argv[1:]
    {"make": make, "expect": expect, "compare": compare}["".join(chosen) or "compare"](Path(target))
