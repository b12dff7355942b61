"""A small tokenizer of the kind that Qwen3-Reranker has: byte-level BPE with its control tokens."""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from rerank_core.models.prompt import QWEN3

TEXTS = [
    "The central bank cut its key rate by half a point, its first cut in four years.",
    "A storm closed the port; ships wait outside the harbour.",
    "中国人民银行宣布下调存款准备金率，释放长期资金。",
    "The striker scored twice and the visitors went home without a point.",
    "What did the central bank decide? Which ships are waiting?",
    *QWEN3.before_instruction,
    *QWEN3.after_document,
]


def write_tokenizer(folder: Path) -> int:
    """A small byte-level vocabulary with the family's control tokens; gives the number of ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=900, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([*TEXTS * 4, "yes", "no", "yes", "no"], trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer.get_vocab_size(with_added_tokens=True)
