"""Pictures and clips in the prompt of Qwen3-VL-Reranker.

- The frame is the official one: videos, then pictures, then text, without a blank at the seams. Instruction and query are
  encoded as one text, and so are the label of the document and its text: only then the ids are those of the whole prompt.
- A medium stands in the prompt as one placeholder between two marks; the engine's processor makes its tokens of it. No text
  can become one: placeholders are counted before the engine sees the prompt, and again when it is rendered.
- Media are made small here, to sizes that the processor leaves as they are. So the length of a prompt is known before it
  is rendered, in every version of the engine, and the bounds are part of the scorer's id.
- A medium is known by its digest. The engine's processor keeps what it made of it, so a picture of many pairs is processed once.

Model card: https://huggingface.co/Qwen/Qwen3-VL-Reranker-2B
"""

import hashlib
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rerank_core.errors import CorruptError, EngineError, InputError, ModelError
from rerank_core.models.encoding import read_tokenizer
from rerank_core.models.prompt import QWEN3, Format, Prompt, Prompter, prompt_digest
from rerank_core.storage.rendition_names import LONGEST_SIDE, MOST_FRAMES, digest_of, is_clip

SIDE = 32  # pixels of the square that a token stands for: patches of 16, two by two
FRAMES_A_STEP = 2  # frames of a clip that the model reads as one
LEAST_TOKENS = 4  # of a picture; a smaller picture is enlarged
CANARY = "canary:"  # names a plain picture of a colour that canaries use, such as canary:red
_ASPECT = 100  # a side is at most so many times the other; the processor refuses 200
_STAMP_TOKENS = 16  # the time of a step, `<12.5 seconds>`, and its two marks, at most
_SEAM_TOKENS = 16  # texts that are encoded as one may need some tokens more
_KEPT_OPEN = 64  # media, at most 14 MiB each
_PROCESSORS = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")

START, END, PICTURE, CLIP = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"


@dataclass(frozen=True)
class VisionFormat(Format):
    """A frame whose instruction and query are one text, and whose document may have media before its text."""

    together: str = ""  # how instruction and query are written
    label: str = ""  # of the document; its media stand behind it


QWEN3_VL = VisionFormat(
    name="qwen3-vl-reranker",
    before_instruction=QWEN3.before_instruction[:5],
    before_query=(),
    before_document=(),
    after_document=("<|im_end|>", "\n", "<|im_start|>", "assistant\n"),
    controls=frozenset({"<|im_start|>", "<|im_end|>", START, END, PICTURE, CLIP}),
    told="{}",
    document="<Document>:{}",
    yes="yes",
    no="no",
    together="user\n<Instruct>: {}<Query>:{}\n",
    label="<Document>:",
)


@dataclass(frozen=True)
class Bounds:
    """How much the model reads of media."""

    picture_tokens: int = 256  # of a picture, at most
    clip_tokens: int = 256  # of all frames of a clip together, at most, without their times
    media: int = 4  # of a document, at most; no part of the id

    @property
    def longest(self) -> int:
        """Tokens of the longest medium, with its times and marks."""
        steps = -(-MOST_FRAMES // FRAMES_A_STEP)
        return max(self.picture_tokens, self.clip_tokens + steps * _STAMP_TOKENS) + 2

    @property
    def pixels(self) -> int:
        """The largest medium, frames added up. The processor leaves smaller ones as they are."""
        return max(self.picture_tokens, self.clip_tokens * FRAMES_A_STEP) * SIDE**2


@dataclass(frozen=True, eq=False)
class Medium:
    """A picture or a clip as the processor gets it."""

    digest: str  # sha256 in hex of the rendition; of a canary's picture, its name
    is_clip: bool
    content: (
        Any  # a picture of PIL; of a clip, uint8 of shape (frames, height, width, 3) and what is told of it
    )
    tokens: int  # of the prompt, marks included; of a clip, at most


def fit(width: int, height: int, *, frames: int = 1, pixels: int) -> tuple[int, int]:
    """The size, in multiples of SIDE, that a picture of `width` × `height` is made for a budget of pixels.

    All frames share the budget. The formula is `smart_resize` of Qwen's processors
    (https://github.com/QwenLM/Qwen3-VL), but that a very long side is cut to the budget as well.
    """
    budget = pixels // frames
    if min(width, height) < SIDE:
        scale = SIDE / min(width, height)
        width, height = int(width * scale), int(height * scale)
    least = LEAST_TOKENS * SIDE**2
    w, h = (max(SIDE, round(side / SIDE) * SIDE) for side in (width, height))
    if w * h > budget:
        shrink = math.sqrt(width * height / budget)
        w, h = (max(SIDE, math.floor(side / shrink / SIDE) * SIDE) for side in (width, height))
    elif w * h < least <= budget:
        grow = math.sqrt(least / (width * height))
        w, h = (math.ceil(side * grow / SIDE) * SIDE for side in (width, height))
    most = [max(SIDE, min(budget // other // SIDE * SIDE, _ASPECT * other)) for other in (h, w)]
    return min(w, most[0]), min(h, most[1])


class Media:
    """Reads renditions, and makes them as small as the bounds say."""

    def __init__(self, read: Callable[[str], bytes], bounds: Bounds) -> None:
        """`read` gives the bytes of a path of the store. It raises CorruptError if they are gone or altered."""
        self._read, self._bounds = read, bounds
        self.open = lru_cache(_KEPT_OPEN)(self._open)

    def _open(self, path: str) -> Medium:
        """Raises InputError if the medium cannot be read: the pair is refused, and the page comes out without it."""
        from PIL import Image

        if path.startswith(CANARY):
            plain = Image.new("RGB", (8 * SIDE, 8 * SIDE), path.removeprefix(CANARY))
            return self._picture(path, plain)
        try:
            digest = digest_of(path)
            with Image.open(io.BytesIO(self._read(path)), formats=("JPEG", "WEBP")) as image:
                if max(image.size) > LONGEST_SIDE:
                    raise InputError(f"it has {image.size[0]} × {image.size[1]} pixels")
                return (
                    self._clip(digest, image)
                    if is_clip(path)
                    else self._picture(digest, image.convert("RGB"))
                )
        except (CorruptError, InputError, OSError, ValueError, SyntaxError, EOFError) as error:
            raise InputError(f"medium {path} cannot be read ({error}); the pair is refused") from None

    def _picture(self, digest: str, image: Any) -> Medium:
        width, height = fit(*image.size, pixels=self._bounds.picture_tokens * SIDE**2)
        return Medium(digest, False, _resized(image, width, height), width * height // SIDE**2 + 2)

    def _clip(self, digest: str, image: Any) -> Medium:
        """The frames, an even number of them, and the millisecond at which each one is shown."""
        count = min(getattr(image, "n_frames", 1), MOST_FRAMES)
        steps = -(-count // FRAMES_A_STEP)
        pixels = self._bounds.clip_tokens * FRAMES_A_STEP * SIDE**2
        width, height = fit(*image.size, frames=steps * FRAMES_A_STEP, pixels=pixels)
        frames, times, now = [], [], 0
        for place in range(count):
            image.seek(place)
            frames.append(np.asarray(_resized(image.convert("RGB"), width, height)))
            times.append(now)
            now += int(image.info.get("duration") or 1000)
        while len(frames) < steps * FRAMES_A_STEP:
            frames.append(frames[-1])
            times.append(times[-1])
        told = {
            "fps": 1000.0,
            "frames_indices": times,
            "total_num_frames": now,
            "duration": now / 1000,
            "do_sample_frames": False,
        }
        tokens = steps * (width * height // SIDE**2 + _STAMP_TOKENS) + 2
        return Medium(digest, True, (np.stack(frames), told), tokens)


class VisionPrompter(Prompter):
    """Builds prompts with media. Without `media` it reads none, and counts each at the bound."""

    def __init__(
        self, tokenizer_file: Path, *, form: VisionFormat, bounds: Bounds, media: Media | None, **options: Any
    ) -> None:
        """The `options` are those of Prompter. Raises ModelError if the checkpoint does not fit the family."""
        if options.get("passages", "lead") != "lead":
            raise ModelError(f"{form.name} reads the lead of a document only; set RERANK_PASSAGES=lead")
        super().__init__(tokenizer_file, form=form, **options)
        self.digest = vision_digest(tokenizer_file.parent, form=form, bounds=bounds)
        self._vision, self._bounds, self._media = form, bounds, media
        self._label = self._encoder.frame((form.label,), form.controls)
        self._marks = {
            False: self._encoder.frame((START, PICTURE, END), form.controls),
            True: self._encoder.frame((START, CLIP, END), form.controls),
        }
        written = self._encoder.frame((form.together.format("", ""),), form.controls)
        self._limits["text"] = self._limits["document"]  # behind media, without the label
        self._limits["document"] += len(self._label)
        self._window = self._limits["document"]
        self.max_prompt_tokens += (
            len(written) + len(self._label) + _SEAM_TOKENS + bounds.media * bounds.longest
        )

    def prompt(self, *, instruction: str, query: str, document: str, pictures: Sequence[str] = ()) -> Prompt:
        """See Prompter.prompt. `pictures` are paths of renditions.

        Raises InputError if there are too many, if one cannot be read, or if a text became a placeholder.
        """
        if not pictures:
            plain = super().prompt(instruction=instruction, query=query, document=document)
            self._count(plain.ids, ())
            return plain
        if len(pictures) > self._bounds.media:
            raise InputError(
                f"{len(pictures)} media, and the model reads {self._bounds.media}; the pair is refused"
            )
        ordered = [*filter(is_clip, pictures), *(path for path in pictures if not is_clip(path))]
        media = () if self._media is None else tuple(map(self._media.open, ordered))
        front, neutralised = self._cached_query(instruction, query)
        text = self._encode("text", document)
        marks = [number for path in ordered for number in self._marks[is_clip(path)]]
        ids = [*front, *self._label, *marks, *text.ids, *self._tail]
        self._count(ids, ordered)
        at_most = sum(medium.tokens for medium in media) or len(ordered) * self._bounds.longest
        return Prompt(
            ids,
            text.truncated,
            neutralised or text.neutralised,
            media=media,
            media_tokens=at_most - len(marks),
        )

    def _encode_query(self, instruction: str, query: str) -> tuple[list[int], bool]:
        """Instruction and query as one text. Each one alone must be within its limit."""
        slots = []
        for kind, text in (("instruction", instruction), ("query", query)):
            self._encode(kind, text)
            slots.append(self._slot(kind, text))
        limit = self._limits["instruction"] + self._limits["query"] + 64
        ids, cut = self._encoder.encode(
            self._vision.together.format(*(slot for slot, _ in slots)), max_tokens=limit
        )
        if cut or self._encoder.has_control(ids):
            raise InputError(
                "instruction and query are too long together, or name control tokens; shorten them"
            )
        return [*self._head, *ids], any(found for _, found in slots)

    def _count(self, ids: Sequence[int], paths: Sequence[str]) -> None:
        """Raises InputError unless the prompt has exactly the placeholders of these media."""
        clips = sum(map(is_clip, paths))
        wanted = {START: len(paths), END: len(paths), PICTURE: len(paths) - clips, CLIP: clips}
        found = {name: ids.count(self._encoder.control_ids[name]) for name in wanted}
        if found != wanted:
            raise InputError(
                f"the prompt has the placeholders {found}, expected {wanted}; the pair is refused"
            )


def make_prompter(
    folder: Path, *, form: Format, bounds: Bounds, read_medium: Callable[[str], bytes] | None, **options: Any
) -> Prompter:
    """The prompter of a checkpoint of any family. Without `read_medium`, media are only counted."""
    file = folder / "tokenizer.json"
    if not isinstance(form, VisionFormat):
        return Prompter(file, form=form, **options)
    media = None if read_medium is None else Media(read_medium, bounds)
    return VisionPrompter(file, form=form, bounds=bounds, media=media, **options)


def nothing_stored(path: str) -> bytes:
    """Stands for a store where there is none. Raises CorruptError."""
    raise CorruptError(f"no store was given to read {path} from; give the scorer one")


class VisionRenderer:
    """Has the engine's processor put media into a prompt, and checks that it did."""

    def __init__(self, llm: Any) -> None:
        """Raises EngineError if this version of the engine cannot render."""
        self._renderer: Any = getattr(llm.llm_engine, "renderer", None)
        if not hasattr(self._renderer, "render_cmpl"):
            raise EngineError("this version of vLLM does not render media; install one of 0.26 to 0.33")

    def __call__(self, ids: Sequence[int], media: Sequence[Medium]) -> Any:
        """What the engine takes for a prompt. Raises EngineError if not all media are in it, or more than was counted.

        The engine itself would drop media from a prompt that was not rendered, without a word.
        """
        if not media:
            return {"type": "token", "prompt_token_ids": list(ids)}
        kinds = {"image": False, "video": True}
        chosen = {kind: [m for m in media if m.is_clip == clip] for kind, clip in kinds.items()}
        chosen = {kind: of for kind, of in chosen.items() if of}
        (ready,) = self._renderer.render_cmpl(
            [
                {
                    "prompt_token_ids": list(ids),
                    "multi_modal_data": {kind: [m.content for m in of] for kind, of in chosen.items()},
                    "multi_modal_uuids": {kind: [m.digest for m in of] for kind, of in chosen.items()},
                }
            ]
        )
        found = {kind: len(of) for kind, of in ready["mm_placeholders"].items() if of}
        wanted = {kind: len(of) for kind, of in chosen.items()}
        grown = len(ready["prompt_token_ids"]) - len(ids)
        expected = sum(medium.tokens - 3 for medium in media)
        if found != wanted or not 0 <= grown <= expected:
            raise EngineError(
                f"the engine put the media {found} into {grown} more tokens, expected {wanted} in at most {expected}; "
                "the checkpoint's processor is another than its family's, or this version of vLLM is"
            )
        return ready


def require_vision() -> None:
    """Raises ModelError if this host cannot make pictures ready for the engine."""
    if find_spec("torchvision") is None:
        raise ModelError(
            f"torchvision is not installed, and the family {QWEN3_VL.name} needs it; the extra `gpu` brings it, and on a CPU"
            " install torchvision's own `+cpu` build, as PyPI's build breaks transformers there"
        )


def vision_digest(folder: Path, *, form: Format, bounds: Bounds) -> str:
    """sha256, in hex, of all that turns texts and media into ids and pixels: prompt, bounds and the processors' files."""
    content = {
        "prompt": prompt_digest(read_tokenizer(folder / "tokenizer.json"), form=form),
        "bounds": [bounds.picture_tokens, bounds.clip_tokens],
        "processors": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in _PROCESSORS
            if (folder / name).is_file()
        },
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def engine_options(bounds: Bounds) -> dict[str, Any]:
    """What vLLM is told of media."""
    return {
        "limit_mm_per_prompt": {"image": bounds.media, "video": bounds.media},
        "mm_processor_kwargs": {"min_pixels": SIDE**2, "max_pixels": bounds.pixels},
        "mm_processor_cache_gb": 0.25,
    }


def _resized(image: Any, width: int, height: int) -> Any:
    from PIL.Image import Resampling

    return image if image.size == (width, height) else image.resize((width, height), Resampling.BICUBIC)
