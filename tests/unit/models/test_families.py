"""Families: each one's prompt as its authors write it, and no control token of it out of any text."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from byte_vocabulary import write_tokenizer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from modernbert_vocabulary import write_modernbert_tokenizer
from tokenizers import Tokenizer
from unigram_vocabulary import TEXTS, write_unigram_tokenizer

from rerank_core.errors import InputError, ModelError
from rerank_core.models.encoding import Encoder
from rerank_core.models.identity import FAMILIES, identify, read_checkpoint
from rerank_core.models.prompt import BGE_M3, MAX_WINDOWS, MODERNBERT, QWEN3, Format, Prompter, prompt_digest
from rerank_core.models.vision import Bounds

FORMATS = {form.name: form for form in (QWEN3, BGE_M3, MODERNBERT)}
WRITERS: dict[str, Callable[[Path], Any]] = {
    QWEN3.name: write_tokenizer,
    BGE_M3.name: write_unigram_tokenizer,
    MODERNBERT.name: write_modernbert_tokenizer,
}
FRAME_CONTROLS = {QWEN3.name: 7, BGE_M3.name: 4, MODERNBERT.name: 3}  # control tokens of a prompt
NAMES = sorted(
    {name for form in FORMATS.values() for name in form.controls}
    | {"<|endoftext|>", "<|padding|>", "[unused0]"}
)
ANY_TEXT = st.one_of(
    st.text(max_size=100),
    st.lists(
        st.sampled_from(
            [*NAMES, "＜/s＞", "﹤s﹥", "<\0/s>", "\0</s>", "</", "s>", "🎉", "\ud800", " ", "中"]
        ),
        max_size=12,
    ).map("".join),
)


class Vocabulary:
    """A family's small tokenizer, in the files that a checkpoint has."""

    def __init__(self, form: Format, folder: Path) -> None:
        WRITERS[form.name](folder)
        self.form = form
        self.file = folder / "tokenizer.json"
        self.content = json.loads(self.file.read_text())
        self.ordinary = Tokenizer.from_file(str(self.file))
        self.controls = frozenset(
            token["id"] for token in self.content["added_tokens"] if token["content"].strip()
        )
        self.prompter = self.make_prompter()

    def make_prompter(self, *, max_document_tokens: int = 64, **options: Any) -> Prompter:
        return Prompter(self.file, max_document_tokens=max_document_tokens, **{"form": self.form, **options})

    def count_controls(self, prompter: Prompter, **fields: str) -> int:
        """Control tokens of the prompt with these texts."""
        prompt = prompter.prompt(**{"instruction": "i", "query": "q", "document": "d", **fields})
        return sum(number in self.controls for number in prompt.ids)


@pytest.fixture(params=list(FORMATS), scope="module")
def vocabulary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return Vocabulary(FORMATS[request.param], tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def modernbert(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return Vocabulary(MODERNBERT, tmp_path_factory.mktemp("modernbert"))


@pytest.fixture(scope="module")
def bge(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return Vocabulary(BGE_M3, tmp_path_factory.mktemp("bge"))


# --- no control token out of any text


@settings(max_examples=150)
@given(text=ANY_TEXT)
@example("</s>")
@example("＜/s＞")
@example("<unk> 🎉 <mask>")
def test_no_text_becomes_a_control_token_of_its_family(vocabulary: Vocabulary, text: str) -> None:
    for field in ("instruction", "query", "document"):
        found = vocabulary.count_controls(vocabulary.prompter, **{field: text})
        assert found == FRAME_CONTROLS[vocabulary.form.name]


@pytest.mark.parametrize("text", ["</s>", "＜/s＞", "x<mask>", "<pad>", "🎉"])
def test_taking_the_added_tokens_away_is_not_enough_for_unigram(bge: Vocabulary, text: str) -> None:
    """The control of the test above: a guard that only empties added_tokens lets these through."""
    prompter = bge.make_prompter()
    bare = {**bge.content, "added_tokens": [], "post_processor": None}
    prompter._encoder._tokenizer = Tokenizer.from_str(json.dumps(bare))
    prompter._encoder._unknown = None
    for field in ("query", "document"):
        with pytest.raises(InputError, match="control tokens"):
            bge.count_controls(prompter, **{field: text})


def test_control_names_count_even_where_the_tokenizer_does_not_list_them(bge: Vocabulary) -> None:
    unlisted = {**bge.content, "added_tokens": []}
    encoder = Encoder(unlisted, controls=BGE_M3.controls)
    assert frozenset(encoder.control_ids.values()) == bge.controls
    assert bge.controls.isdisjoint(encoder.encode("a</s>b <mask><unk>", max_tokens=99)[0])


def test_a_forged_boundary_stays_readable_as_text(bge: Vocabulary) -> None:
    prompt = bge.prompter.prompt(instruction="", query="rain", document="rain</s>rain")
    text = bge.ordinary.decode(prompt.ids, skip_special_tokens=True)
    assert "".join(text.split()).endswith("rain</s>rain")


# --- as the authors write it


@pytest.mark.parametrize("document", [*TEXTS, "", "two   blanks\n\n and a tab\t", "ﬁrst ｒａｉｎ"])
def test_a_bge_prompt_equals_the_tokenizers_own_pair(bge: Vocabulary, document: str) -> None:
    for query in TEXTS:
        prompt = bge.prompter.prompt(instruction="never read", query=query, document=document)
        assert prompt.ids == bge.ordinary.encode(query, document).ids
        assert not prompt.truncated
        assert not prompt.neutralised


BLANKS = ["a  b", "   a", "a" + " " * 60 + "b\n  c\t \n\n d", "  ", "x   ", "e\u0301  \u3000 \xa0 z"]


@pytest.mark.parametrize("document", [*TEXTS, "", *BLANKS])
def test_a_modernbert_prompt_equals_the_tokenizers_own_pair(modernbert: Vocabulary, document: str) -> None:
    for query in (*TEXTS, *BLANKS):
        prompt = modernbert.prompter.prompt(instruction="never read", query=query, document=document)
        assert prompt.ids == modernbert.ordinary.encode(query, document).ids
        assert not prompt.truncated
        assert not prompt.neutralised


def test_blank_runs_are_text_and_not_control_tokens(modernbert: Vocabulary) -> None:
    """The control: a guard that empties the whole list spells blanks otherwise than the model has learned."""
    bare = Encoder({**modernbert.content, "added_tokens": []})
    assert bare.encode("a    b", max_tokens=99) != Encoder(modernbert.content).encode("a    b", max_tokens=99)
    blank = {token["id"] for token in modernbert.content["added_tokens"] if not token["content"].strip()}
    assert len(blank) == 23
    assert not Encoder(modernbert.content).has_control(blank)


@settings(max_examples=100)
@given(
    words=st.lists(st.sampled_from(["rain", " ", "  ", "  " * 20, "\n", "港", "[SEP]", "."]), max_size=200),
    limit=st.integers(1, 40),
)
def test_a_cut_modernbert_text_keeps_its_first_ids(
    modernbert: Vocabulary, words: list[str], limit: int
) -> None:
    text = "".join(words)
    encoder = modernbert.prompter._encoder
    ids, cut = encoder.encode(text, max_tokens=limit)
    whole, _ = encoder.encode(text, max_tokens=100_000)
    assert (ids, cut) == (whole[:limit], len(whole) > limit)


def test_bge_reads_no_instruction_and_has_no_labels(bge: Vocabulary) -> None:
    one, other = (
        bge.prompter.prompt(instruction=told, query="q", document="<Document>: rain")
        for told in ("find", "long " * 3000)
    )
    assert one == other
    assert not one.neutralised
    assert (bge.prompter.yes_id, bge.prompter.no_id) == (None, None)


def test_characters_that_the_vocabulary_lacks_are_left_out(bge: Vocabulary) -> None:
    prompts = [bge.prompter.prompt(instruction="", query="q", document=d).ids for d in ("rain🎉", "rain")]
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize("kind", ["blanks", "one word", "emoji", "sentences"])
def test_a_long_bge_text_keeps_its_first_ids(bge: Vocabulary, kind: str) -> None:
    documents = {
        "blanks": " \n" * 500_000 + "rain in the port",
        "one word": "rain" * 250_000,
        "emoji": "rain " + "🎉" * 1_000_000,
        "sentences": TEXTS[1] * 20_000,
    }
    prompt = bge.prompter.prompt(instruction="", query="q", document=documents[kind])
    ids = [n for n in bge.ordinary.encode("q", " ".join(documents[kind].split())[:9000]).ids if n != 3]
    assert prompt.ids[:-1] == ids[: len(prompt.ids) - 1]
    assert prompt.truncated == (kind != "blanks")
    assert prompt.ids[-1] == 2
    assert len(prompt.ids) <= bge.prompter.max_prompt_tokens


def test_another_vocabulary_is_refused(bge: Vocabulary) -> None:
    with pytest.raises(ModelError, match="'yes' is not one token"):
        bge.make_prompter(form=QWEN3)


def test_each_field_of_a_format_is_in_the_digest(bge: Vocabulary) -> None:
    digest = prompt_digest(bge.content, form=BGE_M3)
    changes: list[dict[str, Any]] = [
        {"name": "n"},
        {"before_document": ("</s>",)},
        {"controls": frozenset({"<s>", "</s>"})},
        {"document": " {}"},
        {"one_blank": False},
    ]
    digests = [prompt_digest(bge.content, form=replace(BGE_M3, **change)) for change in changes]
    assert len({digest, *digests}) == 6


# --- windows


def test_windows_cover_the_whole_document_and_the_last_is_full(vocabulary: Vocabulary) -> None:
    document = " ".join(f"{n} {TEXTS[n % 4]}" for n in range(12))
    whole = vocabulary.make_prompter(max_document_tokens=8000).prompt(
        instruction="i", query="q", document=document
    )
    empty = vocabulary.prompter.prompt(instruction="i", query="q", document="")
    size = (len(whole.ids) - len(empty.ids)) // 5  # so that a rest is left
    lead = vocabulary.make_prompter(max_document_tokens=size)
    best = vocabulary.make_prompter(max_document_tokens=size, passages="max")
    prompt = best.prompt(instruction="i", query="q", document=document)
    windows = [prompt.ids, *prompt.further]
    assert windows[0] == lead.prompt(instruction="i", query="q", document=document).ids
    assert not prompt.truncated
    assert {len(window) for window in windows} == {len(windows[0])}
    assert prompt.tokens == sum(map(len, windows))
    tail = len(best._tail)
    front = len(windows[0]) - size - tail
    ids = whole.ids[front:-tail]
    parts = [window[front:-tail] for window in windows]
    starts = [min(n * size, len(ids) - size) for n in range(len(parts))]
    assert parts == [ids[start : start + size] for start in starts]
    assert starts[-1] + size == len(ids)


def test_no_more_than_eight_windows_and_then_truncated(vocabulary: Vocabulary) -> None:
    best = vocabulary.make_prompter(max_document_tokens=16, passages="max")
    for words, windows, truncated in (
        ("rain", 1, False),
        ("rain " * 2000, MAX_WINDOWS, True),
        ("", 1, False),
    ):
        prompt = best.prompt(instruction="i", query="q", document=words)
        assert 1 + len(prompt.further) == windows
        assert prompt.truncated is truncated
    assert best.max_prompt_tokens == vocabulary.make_prompter(max_document_tokens=16).max_prompt_tokens


# --- the table


SHAPES: dict[str, dict[str, Any]] = {
    "qwen3-reranker": {},
    "qwen3-reranker-seq-cls": {"score.weight": (1, 2)},
    "bge-reranker-v2-m3": {"classifier.out_proj.weight": (1, 2)},
    "qwen3-vl-reranker": {},
    "modernbert-reranker": {"classifier.weight": (1, 2)},
}


def write_checkpoint(
    folder: Path, name: str, *, fields: dict[str, Any] | None = None, **shapes: tuple[int, int]
) -> Path:
    """Files that look like a checkpoint of the family; `shapes` change a tensor's, `fields` its config.json."""
    family = next(family for family in FAMILIES if family.name == name)
    config = {
        "architectures": [family.architecture],
        "vocab_size": 4,
        "hidden_size": 2,
        "max_position_embeddings": 514,
        "pad_token_id": 1,
        **(fields or {}),
    }
    if family.text_fields is not None:
        config = {"architectures": config.pop("architectures"), family.text_fields: config}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE"}}))
    tensors = {family.embedding: (4, 2), **SHAPES[name], **shapes}
    header: dict[str, Any] = {}
    end = 0
    for tensor, shape in tensors.items():
        size = shape[0] * shape[1] * 4
        header[tensor] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(end))
    return folder


@pytest.mark.parametrize("name", SHAPES)
def test_a_family_is_recognised_by_its_architecture(tmp_path: Path, name: str) -> None:
    checkpoint = read_checkpoint(write_checkpoint(tmp_path / "model", name))
    assert checkpoint.family.name == name
    assert checkpoint.max_positions == (512 if name.startswith("bge") else 514)


@pytest.mark.parametrize("name", ["qwen3-reranker-seq-cls", "bge-reranker-v2-m3", "modernbert-reranker"])
def test_a_head_of_two_scores_is_refused(tmp_path: Path, name: str) -> None:
    head = next(iter(SHAPES[name]))
    with pytest.raises(ModelError, match=r"expected one row: a reranker gives one score"):
        read_checkpoint(write_checkpoint(tmp_path / "model", name, **{head: (2, 2)}))


def test_a_modernbert_with_an_activation_that_the_engine_lacks_is_refused(tmp_path: Path) -> None:
    other = {"classifier_activation": "silu"}
    with pytest.raises(
        ModelError, match="classifier_activation is 'silu', and the engine computes 'gelu' only"
    ):
        read_checkpoint(write_checkpoint(tmp_path / "model", "modernbert-reranker", fields=other))


def test_modules_of_sentence_transformers_are_named_with_what_to_do(tmp_path: Path) -> None:
    other = {"architectures": ["ModernBertModel"]}
    folder = write_checkpoint(tmp_path / "model", "modernbert-reranker", fields=other)
    with pytest.raises(ModelError, match="take another checkpoint$"):
        read_checkpoint(folder)
    (folder / "modules.json").write_text("[]")
    with pytest.raises(ModelError, match="rerank scorer convert"):
        read_checkpoint(folder)


def test_a_family_that_learned_english_has_an_english_canary() -> None:
    canaries = {family.name: family.canary for family in FAMILIES}
    assert all(case.query.isascii() for case in canaries["modernbert-reranker"].cases)
    assert any(not case.query.isascii() for case in canaries["qwen3-reranker"].cases)


def test_families_of_one_prompt_have_ids_of_their_own(tmp_path: Path) -> None:
    found = {
        name: identify(write_checkpoint(tmp_path / name, name), precision="float32", max_document_tokens=512)
        for name in SHAPES
    }
    assert found["qwen3-reranker"].prompt == found["qwen3-reranker-seq-cls"].prompt
    assert found["qwen3-reranker"].prompt != found["bge-reranker-v2-m3"].prompt
    assert len({identity.digest for identity in found.values()}) == len(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_bounds_of_media_are_in_the_id_of_a_family_that_reads_them_alone(tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(tmp_path / "model", name)
    options: dict[str, Any] = {"precision": "float32", "max_document_tokens": 512}
    digests = {identify(folder, bounds=bounds, **options).digest for bounds in (Bounds(), Bounds(64, 64))}
    assert len(digests) == (2 if name == "qwen3-vl-reranker" else 1)


def test_the_passages_mode_is_part_of_the_id(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", "qwen3-reranker")
    options: dict[str, Any] = {"precision": "float32", "max_document_tokens": 512}
    lead = identify(folder, **options)
    best = identify(folder, passages="max", **options)
    assert (lead.passages, best.passages) == ("lead", "max")
    assert lead.digest != best.digest
    assert lead.digest == identify(folder, passages="lead", **options).digest
