"""Conversion: a ModernBERT reranker of sentence-transformers' modules, as one checkpoint that the engine loads.

The ettin-rerankers are written as five modules: Transformer, Pooling (first token), Dense (GELU), LayerNorm, Dense (one
score). `ModernBertForSequenceClassification` computes the same from one file. Its LayerNorm has no bias, so the bias b of
the modules' moves into that of the score: w·(n + b) + c = w·n + (w·b + c). Weights keep their precision.

The target appears whole or not at all. Format of the modules: https://sbert.net/docs/cross_encoder/usage/custom_models.html
"""

import json
import shutil
from pathlib import Path
from typing import Any

from rerank_core.errors import ModelError
from rerank_core.models.canary import FILE_NAME as CANARY
from rerank_core.models.identity import read_checkpoint
from rerank_core.models.new_folder import check_target, new_folder
from rerank_core.models.quantise import COPIED
from rerank_core.models.weights import read_json, refuse_remote_code, weight_files

_MODULES = ["Transformer", "Pooling", "Dense", "LayerNorm", "Dense"]
_ENCODER = "ModernBertModel"


def convert(source: Path, target: Path) -> None:
    """Write the modules of the folder `source` as one checkpoint, the new folder `target`.

    Raises ModelError if the modules are others, damaged, or only pickled; InputError if the target exists or cannot be
    written. Nothing is then left behind.
    """
    config, folders = _read_modules(source)
    check_target(target)
    try:
        from safetensors.torch import load_file, save_file
    except ImportError as error:
        raise ModelError("converting needs torch: install the `cpu` or `gpu` extra on this host") from error
    encoder, dense, norm, score = (
        {name: tensor for file in weight_files(folder) for name, tensor in load_file(file).items()}
        for folder in folders
    )
    try:
        row = score["linear.weight"]
        moved = (row.double() @ norm["norm.bias"].double()).to(row.dtype)
        tensors = {f"model.{name.removeprefix('model.')}": tensor for name, tensor in encoder.items()}
        tensors |= {
            "head.dense.weight": dense["linear.weight"],
            "head.norm.weight": norm["norm.weight"],
            "classifier.weight": row,
            "classifier.bias": score["linear.bias"] + moved,
        }
    except KeyError as error:
        raise ModelError(f"{source}: a module lacks tensor {error}; copy the checkpoint again") from None
    with new_folder(target) as draft:
        save_file(tensors, draft / "model.safetensors", metadata={"format": "pt"})
        (draft / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        for name in (*COPIED, CANARY):
            if (source / name).exists():
                shutil.copyfile(source / name, draft / name)
        read_checkpoint(draft)


def _read_modules(source: Path) -> tuple[dict[str, Any], list[Path]]:
    """config.json of the checkpoint to write, and the folders of encoder, dense, norm and score.

    Raises ModelError if the modules compute anything else than the engine does.
    """
    modules = read_json(
        source / "modules.json", missing="only models of sentence-transformers' modules are converted"
    )
    try:
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
        folders = [source / str(module["path"]) for module in modules]
        outside = any(not folder.resolve().is_relative_to(source.resolve()) for folder in folders)
    except (TypeError, KeyError):
        raise ModelError(f"{source / 'modules.json'} is damaged; copy the checkpoint again") from None
    if kinds != _MODULES or outside:
        raise ModelError(
            f"{source} has the modules {', '.join(kinds)}, expected {', '.join(_MODULES)} inside of it"
        )
    config, pooling, dense, score = (
        read_json(folders[place] / "config.json", missing="copy the checkpoint again")
        for place in (0, 1, 2, 4)
    )
    refuse_remote_code(folders[0] / "config.json", config)
    pooled = pooling.get("pooling_mode") or ("cls" if pooling.get("pooling_mode_cls_token") else "another")
    found = {
        "architecture": (config.get("architectures"), [_ENCODER]),
        "norm_bias": (config.get("norm_bias", False), False),
        "pooling": (pooled, "cls"),
        "bias of the first Dense": (dense.get("bias"), False),
        "its activation": (str(dense.get("activation_function")).rpartition(".")[2], "GELU"),
        "residual": (bool(dense.get("use_residual") or score.get("use_residual")), False),
        "scores": (score.get("out_features"), 1),
        "activation of the score": (str(score.get("activation_function")).rpartition(".")[2], "Identity"),
    }
    wrong = [
        f"{name} is {value!r}, not {right!r}" for name, (value, right) in found.items() if value != right
    ]
    if wrong:
        raise ModelError(f"{source} cannot be converted: {'; '.join(wrong)}")
    config |= {
        "architectures": ["ModernBertForSequenceClassification"],
        "classifier_pooling": "cls",
        "classifier_bias": False,
        "classifier_activation": "gelu",
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
    }
    return config, [folders[place] for place in (0, 2, 3, 4)]
