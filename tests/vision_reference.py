"""What transformers says of pairs with pictures: the official prompt as one string, through the family's own processor.

Import it in a process that has torchvision, or what stands in for it (engine/vision_host.py).
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.pairs import make_pairs
from made_renditions import Renditions
from vision_checkpoint import MERGE, PATCH, TEMPORAL, official

from rerank_core.models.vision import SIDE, Bounds, Media
from rerank_core.records import Pair


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


class Reference:
    """The checkpoint in transformers, in float32."""

    def __init__(self, folder: Path, bounds: Bounds, *, device: str = "cpu") -> None:
        import torch
        from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration, Qwen3VLProcessor
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
        from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

        shared = {
            "patch_size": PATCH,
            "merge_size": MERGE,
            "temporal_patch_size": TEMPORAL,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            "size": {"shortest_edge": SIDE**2, "longest_edge": bounds.pixels},
        }
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._processor: Any = Qwen3VLProcessor(
            Qwen2VLImageProcessor(**shared), self._tokenizer, Qwen3VLVideoProcessor(**shared)
        )
        load: Any = Qwen3VLForConditionalGeneration.from_pretrained
        self._model = load(folder, dtype=torch.float32).to(device).eval()
        self._yes, self._no = (self._tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
        self._bounds, self._device, self._torch = bounds, device, torch

    def ask(self, pairs: Sequence[Pair], read: Callable[[str], bytes]) -> tuple[list[float], list[int]]:
        """Logit and number of tokens of each pair. `read` gives the bytes of a rendition."""
        media = Media(read, self._bounds)
        logits, lengths = [], []
        for pair in pairs:
            inputs = self._inputs(pair, media).to(self._device)
            with self._torch.no_grad():
                last = self._model(**inputs).logits[0, -1].float()
            logits.append(float(last[self._yes] - last[self._no]))
            lengths.append(int(inputs["input_ids"].shape[1]))
        return logits, lengths

    def _inputs(self, pair: Pair, media: Media) -> Any:
        from transformers.video_utils import VideoMetadata

        opened = [media.open(path) for path in pair.pictures]
        clips = [medium.content for medium in opened if medium.is_clip]
        pictures = [medium.content for medium in opened if not medium.is_clip]
        told = [
            VideoMetadata(**{name: value for name, value in given.items() if name != "do_sample_frames"})
            for _, given in clips
        ]
        return self._processor(
            text=[
                official(
                    pair.instruction, pair.query, pair.document, pictures=len(pictures), clips=len(clips)
                )
            ],
            images=pictures or None,
            videos=[frames for frames, _ in clips] or None,
            **({"video_metadata": told, "do_sample_frames": False} if clips else {}),
            return_tensors="pt",
        )
