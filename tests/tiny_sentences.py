"""A tiny sentence-transformers checkpoint, made without torch: random weights, but `sun` means what `solar` means."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "solar",
    "sun",
    "wind",
    "power",
    "and",
    "much",
    "else",
    "besides",
    "cooking",
    "with",
    "apples",
    "1",
    "2",
)
WIDTH = 32

_CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": WIDTH,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": WIDTH,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_act": "gelu",
    "pad_token_id": 0,
    "torch_dtype": "float32",
}
_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def make_checkpoint(folder: Path) -> Path:
    """The checkpoint in this folder: mean pooling over one layer that hardly adds to the words' own vectors."""
    random = np.random.default_rng(7)
    words = random.normal(size=(_CONFIG["vocab_size"], WIDTH))
    place = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    words[place["sun"]] = words[place["solar"]] + 0.1 * random.normal(size=WIDTH)
    for name in SPECIAL:
        words[place[name]] *= 0.01
    tensors = {
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_embeddings.weight": 0.01 * random.normal(size=(64, WIDTH)),
        "embeddings.token_type_embeddings.weight": np.zeros((2, WIDTH)),
    }
    layer = "encoder.layer.0."
    for name in (
        *("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        *("intermediate.dense", "output.dense"),
    ):
        tensors[f"{layer}{name}.weight"] = 0.01 * random.normal(size=(WIDTH, WIDTH))
        tensors[f"{layer}{name}.bias"] = np.zeros(WIDTH)
    tensors["pooler.dense.weight"] = 0.01 * random.normal(size=(WIDTH, WIDTH))
    tensors["pooler.dense.bias"] = np.zeros(WIDTH)
    for name in ("embeddings", f"{layer}attention.output", f"{layer}output"):
        tensors[f"{name}.LayerNorm.weight"] = np.ones(WIDTH)
        tensors[f"{name}.LayerNorm.bias"] = np.zeros(WIDTH)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.astype(np.float32) for name, value in tensors.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    _tokenizer(place).save(str(folder / "tokenizer.json"))
    _write(folder / "config.json", _CONFIG)
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 64,
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
        },
    )
    _write(folder / "modules.json", _MODULES)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})
    _write(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True},
    )
    (folder / "2_Normalize").mkdir(exist_ok=True)
    return folder


def _tokenizer(place: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(place, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, place[name]) for name in ("[CLS]", "[SEP]")]
    )
    return tokenizer


def _write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
