"""The real Qwen vocabulary as a tokenizer.json, converted from its rank file where that lies beside the repository."""

import base64
import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte in a byte-level vocabulary."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    return {byte: chr(byte) for byte in kept} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def specification(model: dict[str, Any], controls: dict[str, int], *, pattern: str = SPLIT) -> dict[str, Any]:
    """A tokenizer.json like the family's own."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": content, **flags, "special": content.startswith("<|")}
            for content, number in controls.items()
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": None,
        "decoder": level,
        "model": model,
    }


def real_specification() -> dict[str, Any] | None:
    """The parsed tokenizer.json of the family; None where the rank file is not there."""
    folder = DATA / "tokenizer"
    if not folder.is_dir():
        return None
    ranks: dict[bytes, int] = {}
    for line in (folder / "dashscope" / "qwen.tiktoken").read_bytes().splitlines():
        encoded, number = line.split()
        ranks[base64.b64decode(encoded)] = int(number)
    letters = byte_letters()

    def written(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            joined = [(ranks.get(parts[i] + parts[i + 1], rank), i) for i in range(len(parts) - 1)]
            best, place = min(joined)
            assert best < rank
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        if len(parts) == 2:
            merges.append([written(part) for part in parts])
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {written(token): rank for token, rank in ranks.items()},
        "merges": merges,
    }
    controls = json.loads((folder / "qwen3_special_tokens.json").read_text())["special_tokens"]
    facts = json.loads((folder / "qwen3_reranker_prompt.json").read_text())
    return specification(model, controls, pattern=facts["pretokenizer_regex"])
