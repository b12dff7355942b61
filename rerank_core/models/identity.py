"""The identity of a model: which scorer or embedder a checkpoint folder is, told from its files, without an engine.

A score in the ledger is valid for one scorer. The id of a scorer covers what the score depends on: the weights with the
configuration that gives them meaning, the prompt, the precision, the token limit and the passages mode. It does not cover
the folder, the device or the version of the engine.

A checkpoint that must not run is refused here, before anything is loaded: pickle weights or remote code (both run any
code of their author), another architecture, a damaged or incomplete file.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from rerank_core.errors import ModelError
from rerank_core.models.canary import DEFAULT, ENGLISH, PICTURED, Canary
from rerank_core.models.encoding import read_tokenizer
from rerank_core.models.prompt import BGE_M3, MODERNBERT, QWEN3, Format, Passages, prompt_digest
from rerank_core.models.vision import QWEN3_VL, Bounds, VisionFormat, vision_digest
from rerank_core.models.weights import hash_weights, read_json, refuse_remote_code, tensor_shapes

PRECISIONS = ("float32", "bfloat16", "float16")
ONLINE = "fp8"  # the engine narrows the weights while it loads them; all other numbers are bfloat16

# Fields of config.json that change no logit.
_COSMETIC = frozenset(
    {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}
)


@dataclass(frozen=True)
class Family:
    """A kind of model: how it is recognised, prompted and loaded."""

    name: str
    architecture: str  # as config.json names it
    embedding: str  # name of the tensor of its token embedding
    form: Format
    overrides: dict[str, Any] = field(default_factory=dict)  # hf_overrides of vLLM
    head: str | None = (
        None  # name of the last tensor of its score head; None if the score is made of yes and no
    )
    causal: bool = True  # a token sees only tokens before it, so a common prefix can be computed once
    padded_positions: bool = False  # positions begin after the padding id, so fewer are left
    expected: dict[str, Any] = field(default_factory=dict)  # what config.json may not say otherwise
    text_fields: str | None = None  # field of config.json that has the fields of the text model
    canary: Canary = DEFAULT  # of a checkpoint that brings none


# The 0.6 B shape of the first family is tested; its 4 B and 8 B shapes are not.
FAMILIES = (
    Family(
        name="qwen3-reranker",
        architecture="Qwen3ForCausalLM",
        embedding="model.embed_tokens.weight",
        form=QWEN3,
        overrides={
            "architectures": ["Qwen3ForSequenceClassification"],
            "classifier_from_token": [QWEN3.no, QWEN3.yes],
            "is_original_qwen3_reranker": True,
        },
    ),
    Family(
        name="qwen3-reranker-seq-cls",
        architecture="Qwen3ForSequenceClassification",
        embedding="model.embed_tokens.weight",
        form=QWEN3,
        head="score.weight",
    ),
    Family(
        name="bge-reranker-v2-m3",
        architecture="XLMRobertaForSequenceClassification",
        embedding="roberta.embeddings.word_embeddings.weight",
        form=BGE_M3,
        head="classifier.out_proj.weight",
        causal=False,
        padded_positions=True,
    ),
    Family(
        name="qwen3-vl-reranker",
        architecture="Qwen3VLForConditionalGeneration",
        embedding="model.language_model.embed_tokens.weight",
        form=QWEN3_VL,
        overrides={
            "architectures": ["Qwen3VLForSequenceClassification"],
            "classifier_from_token": [QWEN3_VL.no, QWEN3_VL.yes],
            "is_original_qwen3_reranker": True,
        },
        text_fields="text_config",
        canary=PICTURED,
    ),
    Family(
        name="modernbert-reranker",
        architecture="ModernBertForSequenceClassification",
        embedding="model.embeddings.tok_embeddings.weight",
        form=MODERNBERT,
        head="classifier.weight",
        causal=False,
        expected={"classifier_activation": "gelu"},  # vLLM computes no other
        canary=ENGLISH,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a model is called: `digest` is its id, the other fields but `location` are what the id is made of."""

    digest: str = field(init=False)  # sha256 in hex over the fields below, in their order, without location
    family: str
    weights: str  # sha256 in hex over the safetensors files and config.json
    prompt: str  # sha256 in hex over prompt format and tokenizer
    precision: str  # of the engine's arithmetic: float32, bfloat16, float16 or fp8, never auto
    max_document_tokens: int

    def __post_init__(self) -> None:
        names = [part.name for part in fields(self) if part.name not in ("digest", "location")]
        parts = json.dumps([getattr(self, name) for name in names])
        object.__setattr__(self, "digest", hashlib.sha256(parts.encode()).hexdigest())

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    def columns(self) -> dict[str, Any]:
        """Column → value of the row that the database keeps of this model."""
        named = {"weights": "weights_digest", "prompt": "prompt_digest"}
        return {named.get(name, name): value for name, value in self.as_dict().items()}


@dataclass(frozen=True, kw_only=True)
class ScorerIdentity(Identity):
    """What a scorer is called."""

    passages: Passages = "lead"
    location: str  # the folder or hub name that it was found by; not part of the id


@dataclass(frozen=True)
class Checkpoint:
    """A folder that passed every check that its files allow."""

    folder: Path
    family: Family
    config: dict[str, Any]  # config.json
    precision: str  # of the weights
    max_positions: int  # tokens of the longest prompt that the model can read
    vocabulary_size: int  # rows of the token embedding


def read_checkpoint(folder: Path, *, families: Sequence[Family] = FAMILIES) -> Checkpoint:
    """Check the folder of a checkpoint of one of these families.

    Raises ModelError, which says what is wrong with which file.
    """
    config = _read_object(folder / "config.json")
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).exists():
            refuse_remote_code(folder / name, _read_object(folder / name))
    architectures = config.get("architectures") or []
    candidates = [family for family in families if family.architecture in architectures]
    if not candidates:
        known = ", ".join(dict.fromkeys(family.architecture for family in families))
        advice = "take another checkpoint"
        if (folder / "modules.json").exists():
            advice += ", or make it one of these by `rerank scorer convert`"
        raise ModelError(f"{folder}: architecture {architectures}, expected {known}; {advice}")
    of_text = {**config, **(config.get(str(candidates[0].text_fields)) or {})}
    try:
        vocabulary_size = int(of_text["vocab_size"])
        hidden_size = int(of_text["hidden_size"])
        max_positions = int(of_text["max_position_embeddings"])
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"{folder / 'config.json'}: vocab_size, hidden_size and max_position_embeddings must be numbers; "
            "copy it again"
        ) from None
    shapes = tensor_shapes(folder)
    family = next((family for family in candidates if family.embedding in shapes), candidates[0])
    if family.padded_positions:
        max_positions -= 1 + int(config.get("pad_token_id", 1))
    embedding = shapes.get(family.embedding)
    if embedding != [vocabulary_size, hidden_size]:
        raise ModelError(
            f"{folder}: tensor {family.embedding} has shape {embedding}, config.json says "
            f"{[vocabulary_size, hidden_size]}: they do not belong together; copy the checkpoint again"
        )
    for name, value in family.expected.items():
        if config.get(name, value) != value:
            raise ModelError(
                f"{folder / 'config.json'}: {name} is {config[name]!r}, and the engine computes {value!r} only; "
                "take another checkpoint"
            )
    if family.head is not None and (shapes.get(family.head) or [0])[0] != 1:
        raise ModelError(
            f"{folder}: tensor {family.head} has shape {shapes.get(family.head)}, expected one row: a reranker gives "
            "one score; take another checkpoint"
        )
    precision = str(of_text.get("dtype") or of_text.get("torch_dtype") or "float32").removeprefix("torch.")
    if precision not in PRECISIONS:
        raise ModelError(
            f"{folder / 'config.json'}: dtype {precision!r} is not one of {', '.join(PRECISIONS)}; take another"
            " checkpoint"
        )
    return Checkpoint(folder, family, config, precision, max_positions, vocabulary_size)


def identify(
    folder: Path,
    *,
    precision: str,
    max_document_tokens: int,
    passages: Passages = "lead",
    bounds: Bounds = Bounds(),  # noqa: B008  (frozen)
    verify: bool = False,
) -> ScorerIdentity:
    """The identity of a scorer's checkpoint folder. Precision "auto" means that of the weights.

    `bounds` count for a family that reads media only.
    The first call reads all weights. Later calls trust a file's path, size, mtime and inode, unless `verify` is set.
    Raises ModelError if the checkpoint must not be used.
    """
    checkpoint = read_checkpoint(folder)
    form = checkpoint.family.form
    return ScorerIdentity(
        family=checkpoint.family.name,
        weights=weights_digest(checkpoint, verify=verify),
        prompt=vision_digest(folder, form=form, bounds=bounds)
        if isinstance(form, VisionFormat)
        else prompt_digest(read_tokenizer(folder / "tokenizer.json"), form=form),
        precision=resolve_precision(precision, checkpoint),
        max_document_tokens=max_document_tokens,
        passages=passages,
        location=str(folder),
    )


def weights_digest(checkpoint: Checkpoint, *, verify: bool = False) -> str:
    """sha256, in hex, over the weights and the configuration that gives them meaning."""
    weights = hashlib.sha256(_canonical(checkpoint.config).encode())
    for digest in hash_weights(checkpoint.folder, verify=verify):
        weights.update(bytes.fromhex(digest))
    return weights.hexdigest()


def resolve_precision(precision: str, checkpoint: Checkpoint) -> str:
    """The precision itself, or that of the weights for "auto", so that it does not depend on the device.

    Raises ModelError if it is unknown, or if the weights of the checkpoint are narrow already.
    """
    if precision == "auto":
        return checkpoint.precision
    if precision == ONLINE and "quantization_config" in checkpoint.config:
        raise ModelError(
            f"{checkpoint.folder} is quantised already; set RERANK_PRECISION=auto, or give the original checkpoint"
        )
    if precision not in (*PRECISIONS, ONLINE):
        raise ModelError(
            f"precision {precision!r} is not one of auto, {', '.join(PRECISIONS)}, {ONLINE}; correct RERANK_PRECISION"
        )
    return precision


def _canonical(config: dict[str, Any]) -> str:
    kept = {name: value for name, value in config.items() if name not in _COSMETIC}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"))


def _read_object(file: Path) -> dict[str, Any]:
    content = read_json(file, missing="this is no checkpoint folder")
    if not isinstance(content, dict):
        raise ModelError(f"{file} is not a JSON object; copy the checkpoint again")
    return content
