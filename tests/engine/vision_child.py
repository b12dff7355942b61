"""Pictures in an engine and in transformers, in a process of its own (vision_host.py); prints what it found, as JSON.

python -m engine.vision_child FOLDER            write a checkpoint; score pairs of all kinds by both
python -m engine.vision_child make FOLDER       write a checkpoint whose canary it passes, as trained ones do
python -m engine.vision_child expect FOLDER     logits by transformers of the pairs on stdin: {"store": url, "pairs": […]}
"""

import dataclasses
import json
import math
import sys
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from engine.pairs import make_pairs
from made_renditions import Renditions
from vision_checkpoint import official, write_vision_checkpoint

from rerank_core.models.canary import FILE_NAME as CANARY_FILE
from rerank_core.models.canary import PICTURED
from rerank_core.models.vision import CANARY, QWEN3_VL, SIDE, Bounds, Media, nothing_stored
from rerank_core.models.vllm import VllmScorer
from rerank_core.records import Pair
from rerank_core.storage import renditions
from rerank_core.storage.store import Store

BOUNDS = Bounds(picture_tokens=64, clip_tokens=64, media=4)


def drawn(store: Renditions) -> list[Pair]:
    """20 pairs with 0 to 3 media each: pictures of many sizes, clips of 2 to 8 frames."""
    sizes = [(640, 360), (100, 768), (32, 40), (768, 300)]
    pictures = [store.picture(*size) for size in sizes]
    clips = [store.clip(320, 200, 8), store.clip(200, 200, 3), store.clip(64, 64, 2)]
    media = [
        (pictures[0],),
        (pictures[1], pictures[2]),
        (clips[0],),
        (pictures[3], clips[1]),
        (clips[2],),
        (),
        (clips[0], pictures[0], clips[1]),
    ]
    documents = [
        "The bank cut its rate.",
        "",
        "? (a)",
        "A storm closed the port; ships wait.\n" * 3,
        "港口关闭。",
    ]
    pairs = make_pairs(queries=["ships?", "央行", "a plain picture", "rain"], documents=documents)
    return [dataclasses.replace(pair, pictures=media[place % 7]) for place, pair in enumerate(pairs)]


def by_transformers(
    folder: Path, pairs: list[Pair], read: Callable[[str], bytes]
) -> tuple[list[float], list[int]]:
    """Logit and length of each pair: the official prompt as one string, through the family's own processor."""
    import torch
    from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration, Qwen3VLProcessor
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
    from transformers.video_utils import VideoMetadata

    shared = {
        "patch_size": 16,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    size = {"shortest_edge": SIDE**2, "longest_edge": BOUNDS.pixels}
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    processor: Any = Qwen3VLProcessor(
        Qwen2VLImageProcessor(**shared, size=size), tokenizer, Qwen3VLVideoProcessor(**shared, size=size)
    )
    model = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    yes, no = (tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    media = Media(read, BOUNDS)
    logits, lengths = [], []
    for pair in pairs:
        opened = [media.open(path) for path in pair.pictures]
        clips = [medium.content for medium in opened if medium.is_clip]
        pictures = [medium.content for medium in opened if not medium.is_clip]
        text = official(pair.instruction, pair.query, pair.document, pictures=len(pictures), clips=len(clips))
        told = [
            VideoMetadata(**{name: value for name, value in given.items() if name != "do_sample_frames"})
            for _, given in clips
        ]
        inputs = processor(
            text=[text],
            images=pictures or None,
            videos=[frames for frames, _ in clips] or None,
            **({"video_metadata": told, "do_sample_frames": False} if clips else {}),
            return_tensors="pt",
        )
        with torch.no_grad():
            last = model(**inputs).logits[0, -1].float()
        logits.append(float(last[yes] - last[no]))
        lengths.append(int(inputs["input_ids"].shape[1]))
    return logits, lengths


def make(folder: Path) -> None:
    """A random checkpoint with a canary of its own: two plain pictures in the order that its weights happen to give."""
    write_vision_checkpoint(folder)
    pairs = [pair for pair in PICTURED.pairs() if pair.pictures]
    logits, _ = by_transformers(folder, pairs, nothing_stored)
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
    logits, _ = by_transformers(folder, pairs, lambda path: renditions.read(store, path))
    bare, _ = by_transformers(
        folder, [dataclasses.replace(pair, pictures=()) for pair in pairs], nothing_stored
    )
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
    expected, lengths = by_transformers(folder, pairs, store.read)
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
