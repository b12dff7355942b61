"""Build the demonstration checkpoint: a Qwen3 reranker whose weights are constructed, not trained.

No hub download is needed or made. The result has the files, the architecture (Qwen3ForCausalLM, tied embeddings,
QK norm, RoPE), the prompt and the score (logit(yes) - logit(no) at the last position) of Qwen3-Reranker, so that
set-up, tests and the demo run the true engine path. It judges by words alone. Every number comes from this file and
from checkpoint/vocabulary.txt: two runs write byte-identical files. Rebuild: ``PYTHONPATH=tests python -m demo_checkpoint``

Tokenizer: byte-level BPE with Qwen's pre-tokenizer, NFC and control tokens. Listed words and common Chinese characters
are one token; "x", " x", "X" and the inflections of one word share one identity vector; the words of one line of
[concepts] (both languages) share most of theirs. Identities are sign vectors taken from SHAKE-256.

Residual stream (HIDDEN = 168)
    ONE              16 in every token: keeps every RMS norm constant, so that the layers below are linear
    START, MARK_*    flags of <|im_start|>, "<Query" and "<Document"
    W1, W2           log weight of a token alone / its half of the log weight of a pair (0 = full .. -1 = e^-12)
    ID (96)          identity: halves U and V of 48 signs, norm 1
    PREV_U, PREV_W2  U and W2 of the token before                                    (written by layer 0, head 0)
    IN_QUERY, IN_DOC region flags: the last marker seen                              (layer 0, head 1)
    HIT1, HIT2       does this token / pair occur in the query? 0..1                 (layer 1)
    SHARE1, SHARE2   1 / (1 + how often it has occurred in the document so far)      (layer 2)
    COVER1, COVER2   matched document weight / (that + query weight + a constant)    (layer 3, last token)
    BIAS             1                                                               (layer 3)
Attention (2 heads of 128; logits are sums of products of the features named)
    layer 0  head 0 looks one position back (fast rotary pairs); head 1 looks at the highest marker so far
    layer 1  a token looks for its identity (head 0) or its pair (head 1) in the query, else at the start token
    layer 2  the same in the document up to itself; the share of the start token counts occurrences
    layer 3  the last token looks at all query tokens and all matched document tokens, each with its weight, repeated
             ones with less: the attention mass on the document is a saturating coverage of the query, free of length
MLPs are zero. Rows "yes" and "no" differ only in COVER1, COVER2 and BIAS. Features live in the slow rotary pairs
(rope_theta 1e30: below 2e-5 radians a position), so position hardly turns them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from rerank_core.settings import DEMO_CHECKPOINT

CHECKPOINT = DEMO_CHECKPOINT
WRITTEN = ("vocabulary.txt", "canary.json", "README.md")  # by hand, in CHECKPOINT; all other files are built
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTROL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> <|quad_start|> "
    "<|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>"
).split()
MARKUP = (
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|> "
    "<tool_response> </tool_response> <think> </think>"
).split()

HIDDEN, HEAD, HEADS, LAYERS, MLP, THETA = 168, 128, 2, 4, 32, 1e30
ONE, START, MARK_Q, MARK_D, W1, W2, PREV_W2, IN_QUERY, IN_DOC = range(9)
HIT1, HIT2, SHARE1, SHARE2, COVER1, COVER2, BIAS = range(9, 16)
ID, PREV_U, HALF = 24, 120, 48
SLOW = list(range(10, 64)) + list(range(74, 128))  # head dimensions of the slow rotary pairs
FILL = 9  # head dimension that keeps the QK norm constant
ONE_VALUE, FILL_VALUE, GAIN, SPAN = 16.0, 32.0, 48.0, 12.0

MATCH, THRESHOLD, PAIR_MATCH, PAIR_THRESHOLD, REGION = 24.0, 0.62, 40.0, 0.78, 20.0
UNMATCHED, DAMPING, SINK = 9.0, 6.0, 0.6  # log discount: unmatched, repeated; constant query weight
SCALE1, SCALE2, OFFSET = 11.0, 10.0, -3.5  # logit = SCALE1 * COVER1 + SCALE2 * COVER2 + OFFSET

Array = npt.NDArray[np.float32]


class Lexicon:
    """The word lists. Words are case-folded but for acronyms ("US" is not "us")."""

    def __init__(self, text: str) -> None:
        self.meaning: dict[str, tuple[str, str]] = {}  # word -> concept or word, lemma
        self.weight: dict[str, float] = {}  # word -> 0..1
        self.rank: dict[str, int] = {}  # Chinese character -> place by frequency
        self.forms: list[str] = []  # every listed form, as written
        section = ""
        for line in text.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif section == "frequent":
                self.rank.update({char: len(self.rank) + i for i, char in enumerate(line)})
            elif section:
                words = [word for word in line.split() if word != "|"]
                for word in words:
                    self._add(section, words[0], word)
        self.forms = list(dict.fromkeys(self.forms))

    def _add(self, section: str, concept: str, word: str) -> None:
        lemma = word.lower().rstrip("*+")
        for form in inflect(word):
            self.forms.append(form)
            key = form if form.isupper() else form.lower()
            if section == "stop":
                self.weight[key] = 0.0
                self.meaning.setdefault(key, (key, ""))
            elif key not in self.meaning:
                group = concept if section == "concepts" else lemma
                self.meaning[key] = (group, lemma[:4] if lemma.isascii() else lemma)
                self.weight[key] = 1.0 if section == "concepts" or word[0].isupper() else 0.6


def inflect(word: str) -> list[str]:
    """The word and its regular forms, as its mark asks ("*" verb, "+" noun)."""
    stem = word.rstrip("*+")
    if stem == word:
        return [word]
    if re.search(r"[^aeiou]y$", stem):
        plural, past = stem[:-1] + "ies", stem[:-1] + "ied"
    else:
        plural = stem + ("es" if re.search(r"(s|x|z|ch|sh)$", stem) else "s")
        past = stem + ("d" if stem.endswith("e") else "ed")
    if word.endswith("+"):
        return [stem, plural]
    return [stem, plural, past, (stem[:-1] if stem.endswith("e") else stem) + "ing"]


def spell(text: str) -> str:
    """Text as the byte-level BPE spells it."""
    return "".join(piece for piece, _ in BYTES.pre_tokenize_str(text))


class Merges:
    """An ordered list of BPE merges and the vocabulary that it makes."""

    def __init__(self) -> None:
        self.vocab: dict[str, int] = {symbol: i for i, symbol in enumerate(sorted(BYTES.alphabet()))}
        self.pairs: list[tuple[str, str]] = []
        self.order: dict[tuple[str, str], int] = {}

    def join(self, left: str, right: str) -> None:
        if left + right not in self.vocab:
            self.vocab[left + right] = len(self.vocab)
            self.order[left, right] = len(self.pairs)
            self.pairs.append((left, right))

    def whole(self, parts: list[str]) -> None:
        """Make these symbols one token: first the merges that apply to them anyway, then new ones from the left."""
        while len(parts) > 1:
            i = min(
                range(len(parts) - 1), key=lambda i: self.order.get((parts[i], parts[i + 1]), len(self.order))
            )
            self.join(parts[i], parts[i + 1])
            parts = [*parts[:i], parts[i] + parts[i + 1], *parts[i + 2 :]]


def characters(lexicon: Lexicon) -> list[str]:
    """Single-token characters: GB 2312 level 1, those of the word lists, kana, Latin-1, Greek, Cyrillic, punctuation."""
    codes = [bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF)]
    level1 = [code.decode("gb2312", "ignore") for code in codes]
    ranges = [(0xC0, 0x100), (0x391, 0x3CA), (0x410, 0x450), (0x3041, 0x3097), (0x30A1, 0x30FD)]
    letters = [chr(code) for low, high in ranges for code in range(low, high)]
    listed = [char for form in lexicon.forms for char in form if not char.isascii()]
    signs = "，。、：；！？“”‘’（）《》【】—…·￥％　–"
    return list(dict.fromkeys(signs + "".join(level1 + letters + listed)))


def build_tokenizer(lexicon: Lexicon) -> Tokenizer:
    merges = Merges()
    for char in characters(lexicon):
        merges.whole(list(spell(char)))
    for word in sorted((form for form in lexicon.forms if not form.isascii()), key=len):
        merges.whole([spell(char) for char in word])
    latin = [form for form in lexicon.forms if form.isascii()]
    latin = list(dict.fromkeys([*latin, *(form.capitalize() for form in latin if form.islower())]))
    learner = Tokenizer(models.BPE())
    learner.train_from_iterator(sorted(latin), trainers.BpeTrainer(vocab_size=60_000, show_progress=False))
    for left, right in json.loads(learner.to_str())["model"]["merges"]:
        merges.join(left, right)
    short = [symbol for symbol in merges.vocab if symbol.isascii() and symbol.isalpha() and len(symbol) <= 3]
    for word in dict.fromkeys([*latin, *short]):
        merges.join("Ġ", word)
    for pair in ("< Instruct", "< Query", "< Document", "> :", "Ċ Ċ", "- -", "Ġ Ġ"):
        merges.join(*pair.split())
    tokenizer = Tokenizer(models.BPE(vocab=merges.vocab, merges=merges.pairs))
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, BYTES])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(content, special=True, normalized=False) for content in CONTROL])
    tokenizer.add_tokens([AddedToken(content, special=False, normalized=False) for content in MARKUP])
    return tokenizer


def signs(key: str, count: int = 2 * HALF) -> Array:
    """`count` reproducible signs."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(key.encode()).digest(count // 8), np.uint8))
    return (bits.astype(np.float32) * 2 - 1)[:count]


def identity(group: str, lemma: str) -> Array:
    """A unit vector; lemmas of one group have a dot product of about 0.75."""
    vector = signs(group)
    if lemma and lemma != group:
        order = np.frombuffer(hashlib.shake_256(f"{group}/{lemma}".encode()).digest(4 * 2 * HALF), "<u4")
        for half in (0, HALF):
            vector[half + np.argsort(order[half : half + HALF], kind="stable")[:3]] *= -1
    return vector / math.sqrt(2 * HALF)


def describe(text: str, lexicon: Lexicon) -> tuple[str, str, float, float]:
    """Group, lemma, weight alone, weight in a pair of a token's text."""
    word = text.strip()
    key = word if word in lexicon.meaning else word.lower()
    if key in lexicon.meaning and (len(key) > 1 or key.isascii()):
        weight = lexicon.weight[key]
        return *lexicon.meaning[key], weight, 0.4 * weight + 0.1
    if len(word) == 1 and word.isalpha() and not word.isascii():
        rank = lexicon.rank.get(word, 1200)
        idf = min(1.0, math.log(1 + rank / 40) / 3.4)
        return word, "", 0.35 * idf, 0.35 + 0.65 * idf
    if word.isalpha():
        size = len(word) if word.isascii() else 2 * len(word)
        return word.lower(), "", min(0.7, 0.02 * size**2.2), 0.9
    if word.isdigit():
        return word, "", 0.03, 0.4
    return text, "", 0.0, 0.0


def log_weight(weight: float) -> float:
    return max(-1.0, math.log(weight) / SPAN) if weight > 0 else -1.0


def build_embeddings(tokenizer: Tokenizer, lexicon: Lexicon) -> Array:
    rows = np.zeros((tokenizer.get_vocab_size(), HIDDEN), np.float32)
    rows[:, ONE], rows[:, W1], rows[:, W2] = ONE_VALUE, -1.0, -1.0
    for symbol, index in tokenizer.get_vocab(with_added_tokens=False).items():
        text = tokenizer.decode([index])
        part = "\ufffd" in text  # bytes of an unfinished character
        group, lemma, alone, pair = (symbol, "", 0.0, 0.9) if part else describe(text, lexicon)
        rows[index, W1], rows[index, W2] = log_weight(alone), log_weight(pair)
        if pair > 0:  # others have no identity: nothing must look like the start token by chance
            rows[index, ID : ID + 2 * HALF] = identity(group, lemma)
    vocabulary = tokenizer.get_vocab()
    for token, flag in (("<|im_start|>", START), ("<Query", MARK_Q), ("<Document", MARK_D)):
        rows[vocabulary[token], flag] = 1.0
    for slot, scale in ((COVER1, SCALE1), (COVER2, SCALE2), (BIAS, OFFSET)):
        rows[vocabulary["yes"], slot], rows[vocabulary["no"], slot] = scale / 16, -scale / 16
    return rows


class Layer:
    """Weights of one decoder layer, filled head by head. Attention logits are GAIN times the products given to `look`."""

    def __init__(self) -> None:
        self.q, self.k, self.v = (np.zeros((HEADS * HEAD, HIDDEN), np.float32) for _ in range(3))
        self.o = np.zeros((HIDDEN, HEADS * HEAD), np.float32)
        for head in range(HEADS):
            for matrix in (self.q, self.k):
                matrix[head * HEAD + FILL, ONE] = FILL_VALUE / ONE_VALUE

    def look(self, head: int, dim: int, query: dict[int, float], key: dict[int, float]) -> None:
        """Add (sum of query features) * (sum of key features) to the logit, through head dimension `dim`.

        The feature ONE stands for the constant 1."""
        for matrix, features in ((self.q, query), (self.k, key)):
            for feature, factor in features.items():
                matrix[head * HEAD + dim, feature] = factor / (ONE_VALUE if feature == ONE else 1.0)

    def alike(self, head: int, slots: Iterable[int], strength: float) -> int:
        """Add strength * dot product of the slots; returns how many slow dimensions this took."""
        count = 0
        for count, slot in enumerate(slots, start=1):
            self.look(head, SLOW[count - 1], {slot: 1.0}, {slot: strength / GAIN})
        return count

    def copy(self, head: int, moves: dict[int, int]) -> None:
        """Write the attended mean of feature `source` to the slot `target`."""
        for dim, (source, target) in enumerate(moves.items()):
            self.v[head * HEAD + dim, source] = 1.0 / (ONE_VALUE if source == ONE else 1.0)
            self.o[target, head * HEAD + dim] = 1.0

    def tensors(self, index: int) -> dict[str, Array]:
        norm = np.full(HIDDEN, stream_norm(), np.float32)
        q_norm = np.full(HEAD, FILL_VALUE / math.sqrt(HEAD), np.float32)
        k_norm = np.full(HEAD, FILL_VALUE * GAIN, np.float32)
        q_norm[FILL] = k_norm[FILL] = 0.0
        mlp = np.zeros((MLP, HIDDEN), np.float32)
        named = {
            "input_layernorm": norm, "post_attention_layernorm": norm, "self_attn.q_norm": q_norm,
            "self_attn.k_norm": k_norm, "self_attn.q_proj": self.q, "self_attn.k_proj": self.k,
            "self_attn.v_proj": self.v, "self_attn.o_proj": self.o, "mlp.gate_proj": mlp, "mlp.up_proj": mlp,
            "mlp.down_proj": mlp.T.copy(),
        }  # fmt: skip
        return {f"model.layers.{index}.{name}.weight": value for name, value in named.items()}


def stream_norm() -> float:
    """RMS of a token of the residual stream: ONE, identity and about one unit of flags."""
    return math.sqrt((ONE_VALUE**2 + 2.5) / HIDDEN)


def build_layers() -> list[Layer]:
    before, match, count, read = layers = [Layer() for _ in range(LAYERS)]
    identity_slots = range(ID, ID + 2 * HALF)
    pair_slots = [*range(ID, ID + HALF), *range(PREV_U, PREV_U + HALF)]

    for pair in range(6):  # cos(speed * (distance - 1)), summed: greatest at distance 1
        speed = THETA ** (-2 * pair / HEAD)
        before.look(0, pair, {ONE: 1.0}, {ONE: 1.5 * math.cos(speed)})
        before.look(0, pair + HEAD // 2, {}, {ONE: 1.5 * math.sin(speed)})
    before.copy(0, {ID + i: PREV_U + i for i in range(HALF)} | {W2: PREV_W2})
    before.look(1, SLOW[0], {ONE: 1.0}, {START: 0.4, MARK_Q: 0.8, MARK_D: 1.2})
    before.copy(1, {MARK_Q: IN_QUERY, MARK_D: IN_DOC})

    region = REGION / GAIN
    for head, slots, strength, threshold, hit, share in (
        (0, identity_slots, MATCH, THRESHOLD, HIT1, SHARE1),
        (1, pair_slots, PAIR_MATCH, PAIR_THRESHOLD, HIT2, SHARE2),
    ):
        used = match.alike(head, slots, strength)
        start = region + threshold * strength / GAIN
        match.look(head, SLOW[used], {ONE: 1.0}, {IN_QUERY: region, START: start})
        match.copy(head, {IN_QUERY: hit})
        used = count.alike(head, slots, strength)
        start = region + (strength - math.log(2)) / GAIN  # the document sees two start tokens
        count.look(head, SLOW[used], {ONE: 1.0}, {IN_DOC: region, START: start})
        count.copy(head, {START: share})

    for head, hit, share, weights in ((0, HIT1, SHARE1, [W1]), (1, HIT2, SHARE2, [W2, PREV_W2])):
        features = dict.fromkeys(weights, SPAN) | {hit: UNMATCHED, share: DAMPING, IN_QUERY: -DAMPING / 2}
        features[MARK_Q] = UNMATCHED + math.log(SINK) + SPAN * len(weights)  # the sink of the readout
        read.look(head, SLOW[0], {ONE: 1.0}, {feature: value / GAIN for feature, value in features.items()})
    read.copy(0, {IN_DOC: COVER1, ONE: BIAS})
    read.copy(1, {IN_DOC: COVER2})
    return layers


def build_weights(embeddings: Array) -> dict[str, Array]:
    final = np.zeros(HIDDEN, np.float32)
    final[[COVER1, COVER2, BIAS]] = 8 * stream_norm()
    tensors = {"model.embed_tokens.weight": embeddings, "model.norm.weight": final}
    for index, layer in enumerate(build_layers()):
        tensors |= layer.tensors(index)
    return tensors


def bfloat16_bytes(values: Array) -> bytes:
    """Little-endian bfloat16, rounded to nearest even."""
    bits: npt.NDArray[np.uint32] = np.ascontiguousarray(values, "<f4").view("<u4")
    return bytes(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes())


def safetensors(tensors: dict[str, Array]) -> bytes:
    """The tensors as a bfloat16 safetensors file (8-byte header length, JSON header, data), in name order."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    blocks, offset = [], 0
    for name in sorted(tensors):
        blocks.append(bfloat16_bytes(tensors[name]))
        end = offset + len(blocks[-1])
        header[name] = {"dtype": "BF16", "shape": list(tensors[name].shape), "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded + b"".join(blocks)


def write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def build(out: Path) -> None:
    """Write the checkpoint into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    lexicon = Lexicon((CHECKPOINT / "vocabulary.txt").read_text(encoding="utf-8"))
    tokenizer = build_tokenizer(lexicon)
    vocabulary = tokenizer.get_vocab()
    config: dict[str, object] = {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": vocabulary["<|endoftext|>"], "dtype": "float32", "eos_token_id": vocabulary["<|im_end|>"],
        "head_dim": HEAD, "hidden_act": "silu", "hidden_size": HIDDEN, "initializer_range": 0.02,
        "intermediate_size": MLP, "max_position_embeddings": 40960, "max_window_layers": LAYERS, "model_type": "qwen3",
        "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "num_key_value_heads": HEADS, "rms_norm_eps": 1e-6,
        "rope_scaling": None, "rope_theta": THETA, "sliding_window": None, "tie_word_embeddings": True,
        "use_cache": True, "use_sliding_window": False, "vocab_size": len(vocabulary),
    }  # fmt: skip
    tokenizer_config: dict[str, object] = {
        "add_prefix_space": False, "bos_token": None, "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>",
        "errors": "replace", "model_max_length": 40960, "pad_token": "<|endoftext|>", "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
    }  # fmt: skip
    write_json(out / "config.json", config)
    write_json(out / "tokenizer_config.json", tokenizer_config)
    (out / "tokenizer.json").write_text(tokenizer.to_str() + "\n", encoding="utf-8")
    (out / "model.safetensors").write_bytes(safetensors(build_weights(build_embeddings(tokenizer, lexicon))))
    for name in WRITTEN:
        (out / name).write_bytes((CHECKPOINT / name).read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the demonstration checkpoint.")
    parser.add_argument("--out", type=Path, default=CHECKPOINT, help="folder to write (default: the bundled)")
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
