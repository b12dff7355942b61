"""A small tokenizer of the kind that ModernBERT has: byte-level BPE, which lists runs of blanks beside its control tokens."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from unigram_vocabulary import TEXTS

CONTROLS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]


def write_modernbert_tokenizer(folder: Path) -> dict[str, Any]:
    """Writes tokenizer.json and tokenizer_config.json; gives the content of the former."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        show_progress=False,
        special_tokens=["|||IP_ADDRESS|||", "<|padding|>"],  # entries of the vocabulary, as in the original
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXTS * 8, trainer)
    tokenizer.add_tokens([AddedToken(" " * width, normalized=True) for width in range(24, 1, -1)])
    tokenizer.add_special_tokens(["<|endoftext|>", *CONTROLS])
    tokenizer.add_tokens(["[unused0]"])
    numbers = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=numbers
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    content: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text())
    return content
