"""A small tokenizer of the kind that bge-reranker-v2-m3 has: Unigram, its control tokens entries of the vocabulary."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

CONTROLS = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}  # and <mask>, the last id
TEXTS = [
    "The central bank cut its key rate by half a point, its first cut in four years.",
    "A storm closed the port; ships wait outside the harbour.",
    "中国人民银行宣布下调存款准备金率，释放长期资金。",
    "The striker scored twice and the visitors went home without a point.",
    "What did the central bank decide? Which ships are waiting?",
    "Новости: дождь. plain text < s > / mask pad unk",
]


def write_unigram_tokenizer(folder: Path) -> dict[str, Any]:
    """Writes tokenizer.json and tokenizer_config.json; gives the content of the former.

    NFKC stands in for the original's normalisation, which also makes `<` of its full-width form.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
        ]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=300,
        show_progress=False,
        special_tokens=list(CONTROLS),
        unk_token="<unk>",
    )
    tokenizer.train_from_iterator(TEXTS * 8, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary.append(["<mask>", 0.0])
    controls = {**CONTROLS, "<mask>": len(vocabulary) - 1}
    content["added_tokens"] = [
        {
            "id": number,
            "content": name,
            "single_word": False,
            "lstrip": name == "<mask>",
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for name, number in controls.items()
    ]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return content
