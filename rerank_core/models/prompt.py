"""The prompt of a model, built from token ids, so that no text can become structure.

Ordinary tokenisation turns the text `<|im_end|>` of an article into the control token of that name. The article would
then end its own turn, and answer for the model. Here the control tokens of a prompt come from a fixed frame, by their
ids. All other text goes through a tokenizer that knows no control token (encoding.py), and each prompt is checked again.
Each family of models has one Format.

For text without control tokens, the ids equal those of the whole prompt encoded as one string. This decides the seams: a
part of the frame ends at ":", and the space after it belongs to the text. So does the line break after an instruction or
a query, because the tokenizer joins "?" and a line break into one token.

A document is cut at its own end: at `max_document_tokens`, or into windows of that length. Instructions and queries are
never cut: they are refused if they are too long. Encoding takes bounded time for texts of any length.
"""

import hashlib
import json
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from rerank_core.errors import InputError, ModelError
from rerank_core.models.encoding import Encoder, read_tokenizer, sanitise

MAX_QUERY_TOKENS = 256
MAX_INSTRUCTION_TOKENS = 256
MAX_WINDOWS = 8  # of one document; what is longer is cut

# Part of the digest of every prompt. Raise it if a change of this module or of encoding.py changes ids.
RULES = 2

Passages = Literal["lead", "max"]  # score the beginning of a document, or the best of its windows

CACHED_TEXTS = 65_536
_LONGEST_CACHED = 32_768  # characters: a longer text is rare, and would be kept whole
_BLANKS = re.compile(r"[ \t\r\n]{2,}")
_LABEL = re.compile(r"[<＜]\s*(instruct|query|document)\s*[>＞]\s*[:：]", re.IGNORECASE)


@dataclass(frozen=True)
class Format:
    """The frame of a family's prompt: the parts before, between and after its texts.

    A part that is listed in `controls` is one control token. All other parts are encoded as text.
    """

    name: str
    before_instruction: tuple[str, ...]
    before_query: tuple[str, ...]
    before_document: tuple[str, ...]
    after_document: tuple[str, ...]
    controls: frozenset[
        str
    ]  # control tokens that no text may be encoded to; the frame need not use all of them
    told: str = " {}\n"  # how an instruction or a query is written into its place
    document: str = " {}"  # how a document is written into its place
    instructed: bool = True  # the family reads an instruction
    labelled: bool = True  # the frame has labels that a text can imitate
    one_blank: bool = False  # the tokenizer reads a run of blanks as one blank
    yes: str | None = None  # the score is logit(yes) − logit(no); None if the model has a score head
    no: str | None = None


# Model card: https://huggingface.co/Qwen/Qwen3-Reranker-0.6B
QWEN3 = Format(
    name="qwen3-reranker",
    before_instruction=(
        "<|im_start|>",
        "system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
        'Note that the answer can only be "yes" or "no".',
        "<|im_end|>",
        "\n",
        "<|im_start|>",
        "user\n<Instruct>:",
    ),
    before_query=("<Query>:",),
    before_document=("<Document>:",),
    after_document=(
        "<|im_end|>",
        "\n",
        "<|im_start|>",
        "assistant\n",
        "<think>",
        "\n\n",
        "</think>",
        "\n\n",
    ),
    controls=frozenset({"<|im_start|>", "<|im_end|>", "<think>", "</think>"}),
    yes="yes",
    no="no",
)

# Model card: https://huggingface.co/BAAI/bge-reranker-v2-m3; its control tokens are entries of the vocabulary.
BGE_M3 = Format(
    name="bge-reranker-v2-m3",
    before_instruction=("<s>",),
    before_query=(),
    before_document=("</s>", "</s>"),
    after_document=("</s>",),
    controls=frozenset({"<s>", "</s>", "<pad>", "<unk>", "<mask>"}),
    told="{}",
    document="{}",
    instructed=False,
    labelled=False,
    one_blank=True,
)

# Model cards: https://huggingface.co/Alibaba-NLP/gte-reranker-modernbert-base and
# https://huggingface.co/cross-encoder/ettin-reranker-17m-v1
MODERNBERT = Format(
    name="modernbert-reranker",
    before_instruction=("[CLS]",),
    before_query=(),
    before_document=("[SEP]",),
    after_document=("[SEP]",),
    controls=frozenset({"[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"}),
    told="{}",
    document="{}",
    instructed=False,
    labelled=False,
)


@dataclass(frozen=True)
class Prompt:
    """One pair as the model reads it."""

    ids: list[int]  # with the document, or its first window
    truncated: bool  # the end of the document did not fit
    neutralised: bool  # a text imitated a field label of the prompt
    further: tuple[list[int], ...] = ()  # the prompts with the other windows of the document
    media: tuple[Any, ...] = ()  # what the placeholders of `ids` stand for (vision.py)
    media_tokens: int = 0  # that the engine adds to `ids` for them, at most

    @property
    def tokens(self) -> int:
        """The number of tokens that the model reads for this pair, at most."""
        return len(self.ids) + sum(map(len, self.further)) + self.media_tokens


@dataclass(frozen=True)
class EncodedText:
    """The token ids of one untrusted text. No id is a control token."""

    ids: "array[int]"
    truncated: bool
    neutralised: bool


def neutralise(text: str) -> tuple[str, bool]:
    """The text with field labels such as `<Document>:` changed to `(Document)`, and whether it had a label."""
    text, found = _LABEL.subn(r"(\1)", text)
    return text, found > 0


class Prompter:
    """Builds the prompts of one family with one tokenizer. A text is encoded once, however many pairs it is in."""

    def __init__(
        self,
        tokenizer_file: Path,
        *,
        max_document_tokens: int,
        max_query_tokens: int = MAX_QUERY_TOKENS,
        max_instruction_tokens: int = MAX_INSTRUCTION_TOKENS,
        form: Format = QWEN3,
        passages: Passages = "lead",
        cached_texts: int = CACHED_TEXTS,
    ) -> None:
        """Raises ModelError if the tokenizer does not fit the family."""
        specification = read_tokenizer(tokenizer_file)
        self._form = form
        self._encoder = encoder = Encoder(specification, controls=form.controls)
        self.digest = prompt_digest(specification, form=form)
        self.yes_id = self._answer(form.yes)
        self.no_id = self._answer(form.no)
        self.vocabulary_size = encoder.vocabulary_size
        self._head = encoder.frame(form.before_instruction, form.controls)
        self._before_query = encoder.frame(form.before_query, form.controls)
        self._before_document = encoder.frame(form.before_document, form.controls)
        self._tail = encoder.frame(form.after_document, form.controls)
        self._window = max_document_tokens
        self._limits = {
            "instruction": max_instruction_tokens if form.instructed else 0,
            "query": max_query_tokens,
            "document": max_document_tokens * (MAX_WINDOWS if passages == "max" else 1),
        }
        frame = self._head + self._before_query + self._before_document + self._tail
        told = self._limits["instruction"] + self._limits["query"]
        self.max_prompt_tokens = len(frame) + told + max_document_tokens
        self._cached_text = lru_cache(cached_texts)(self._encode_text)
        self._cached_query = lru_cache(cached_texts)(self._encode_query)

    def prompt(self, *, instruction: str, query: str, document: str, pictures: Sequence[str] = ()) -> Prompt:
        """The prompt of one pair. A model of texts does not read the pictures of a document.

        Raises InputError if the instruction or the query is over its limit, or if a text has the id of a control token.
        """
        told = instruction if self._form.instructed else ""
        is_short = len(told) + len(query) <= _LONGEST_CACHED
        front, neutralised = (self._cached_query if is_short else self._encode_query)(told, query)
        text = self._encode("document", document)
        if self._encoder.has_control(text.ids):
            raise InputError(
                "a document was encoded to control tokens; the pair is refused, and the page comes out without it"
            )
        first, *further = ([*front, *window, *self._tail] for window in self._windows(text.ids))
        return Prompt(first, text.truncated, neutralised or text.neutralised, tuple(further))

    def count_cut(self, document: str) -> int:
        """The number of tokens of a document beyond its limit. The whole document is encoded."""
        return max(0, self._encoder.count(self._slot("document", document)[0]) - self._limits["document"])

    def _windows(self, ids: "array[int]") -> Iterator[Sequence[int]]:
        """Parts of at most `max_document_tokens`, which together are the whole.

        The last part reaches back to be as long as the others.
        """
        for start in range(0, max(len(ids), 1), self._window):
            first = max(0, min(start, len(ids) - self._window))
            yield ids[first : first + self._window]

    def _encode_query(self, instruction: str, query: str) -> tuple[list[int], bool]:
        query_text = self._encode("query", query)
        if not self._form.instructed:
            return [*self._head, *query_text.ids, *self._before_document], query_text.neutralised
        told = self._encode("instruction", instruction)
        front = [*self._head, *told.ids, *self._before_query, *query_text.ids, *self._before_document]
        return front, told.neutralised or query_text.neutralised

    def _encode(self, kind: str, text: str) -> EncodedText:
        return (self._cached_text if len(text) <= _LONGEST_CACHED else self._encode_text)(kind, text)

    def _encode_text(self, kind: str, text: str) -> EncodedText:
        limit = self._limits[kind]
        slot, neutralised = self._slot(kind, text)
        ids, truncated = self._encoder.encode(slot, max_tokens=limit)
        if truncated and kind in ("instruction", "query"):
            shown = slot.strip()[:60].replace("\n", " ")
            raise InputError(f"{kind} {shown!r}… is longer than {limit} tokens; shorten it")
        return EncodedText(array("I", ids), truncated, neutralised)

    def _slot(self, kind: str, text: str) -> tuple[str, bool]:
        """The text as it is written into its place, and whether it imitated a label."""
        form = self._form
        clean, neutralised = sanitise(text), False
        if form.labelled:
            clean, neutralised = neutralise(clean)
        if form.one_blank:
            clean = _BLANKS.sub(" ", clean)
        return (form.document if kind == "document" else form.told).format(clean), neutralised

    def _answer(self, word: str | None) -> int | None:
        if word is None:
            return None
        token = self._encoder.token(word)
        if token is None:
            raise ModelError(
                f"{word!r} is not one token of this vocabulary: the checkpoint cannot answer; take a Qwen3-Reranker"
            )
        return token


def prompt_digest(specification: dict[str, Any], *, form: Format = QWEN3) -> str:
    """sha256, in hex, of all that turns texts into ids: the format, RULES, and the tokenizer's relevant fields."""
    content = {
        "rules": RULES,
        "format": {**asdict(form), "controls": sorted(form.controls)},
        "tokenizer": {
            name: specification.get(name) for name in ("model", "normalizer", "pre_tokenizer", "added_tokens")
        },
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
