"""The model's prompt, built from token ids, so that no text can become structure.

Ordinary tokenisation turns the text `<|im_end|>` of an article into the control token of that name: the article
then ends its own turn and answers for the model. Here the control tokens of a prompt come from a fixed frame, by id;
every other text goes through a tokenizer that knows no control token, and each prompt is checked for it again.

For text without control tokens the ids equal those of the whole prompt encoded as one string. Hence the seams: a
frame part ends at ":", the space after it belongs to the text, and so does the line break that follows an instruction
or a query (a tokenizer of this kind joins "?" and a line break into one token).

A document is cut on its own side, at `max_document_tokens`; instructions and queries are never cut, but refused when
too long. Encoding takes bounded time for texts of any length (see `Encoder.encode`).

Format: model card of Qwen3-Reranker, https://huggingface.co/Qwen/Qwen3-Reranker-0.6B
"""

import hashlib
import json
import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from rerank_core.errors import InputError, ModelError

MAX_QUERY_TOKENS = 256
MAX_INSTRUCTION_TOKENS = 256

# Written into the digest of every prompt: raise it when a rule of this module changes token ids.
RULES = 1

_CHARS_PER_TOKEN = 16  # first guess of how much text fills the token limit
_CACHED_TEXTS = 65_536
_SURROGATE = re.compile("[\ud800-\udfff]")
_LABEL = re.compile(r"[<＜]\s*(instruct|query|document)\s*[>＞]\s*[:：]", re.IGNORECASE)


@dataclass(frozen=True)
class Format:
    """The frame of a family's prompt: what stands before, between and after its texts.

    A string in angle brackets and bars, or listed in `controls`, is one control token; all others are encoded as text.
    """

    name: str
    before_instruction: tuple[str, ...]
    before_query: tuple[str, ...]
    before_document: tuple[str, ...]
    after_document: tuple[str, ...]
    controls: frozenset[str]
    yes: str
    no: str


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


@dataclass(frozen=True)
class Prompt:
    """One pair as the model reads it."""

    ids: list[int]
    truncated: bool  # the document's tail did not fit
    neutralised: bool  # a text imitated a field label of the prompt


@dataclass(frozen=True)
class EncodedText:
    """Token ids of one untrusted text; none is a control token."""

    ids: "array[int]"
    truncated: bool
    neutralised: bool


def sanitise(text: str) -> str:
    """The text in valid Unicode without NUL: UTF-16 pairs are joined, lone surrogates become U+FFFD, NUL a space.

    A lone surrogate breaks the tokenizer for every text of its batch.
    """
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", " ")


def neutralise(text: str) -> tuple[str, bool]:
    """Field labels such as `<Document>:` become `(Document)`; also says whether there was one."""
    text, found = _LABEL.subn(r"(\1)", text)
    return text, found > 0


class Encoder:
    """Encodes untrusted text with a checkpoint's vocabulary, its control tokens taken out."""

    def __init__(self, specification: dict[str, Any]) -> None:
        """`specification`: a parsed tokenizer.json. Raises ModelError when it cannot be used."""
        added = specification.get("added_tokens") or []
        self.control_ids: dict[str, int] = {token["content"]: token["id"] for token in added}
        self._forbidden = frozenset(self.control_ids.values())
        bare = {
            **specification,
            "added_tokens": [],
            "truncation": None,
            "padding": None,
            "post_processor": None,
        }
        try:
            self._tokenizer = Tokenizer.from_str(json.dumps(bare))
        except Exception as error:
            raise ModelError(
                f"tokenizer.json cannot be read: {error}; take the checkpoint's own file"
            ) from error
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=False)
        self._longest_token = max(map(len, vocabulary), default=1)
        self.vocabulary_size = 1 + max([*vocabulary.values(), *self._forbidden], default=-1)

    def encode(self, text: str, *, max_tokens: int) -> tuple[list[int], bool]:
        """At most `max_tokens` ids of sanitised text, and whether text was left over.

        Equal to the first ids of the whole text, which is not always encoded: a long text is cut first, and ids are
        taken only from words before the cut's last one; if they do not suffice, four times as much text is tried.
        No more than max_tokens × (longest token of the vocabulary) characters are ever encoded; should one word fill
        all of that, its ids are those of the cut word. Raises InputError if an id is a control token.
        """
        ceiling = max_tokens * self._longest_token
        length = min(max_tokens * _CHARS_PER_TOKEN, ceiling)
        while length < len(text):
            cut = text[:length]
            if length == ceiling:
                return self._checked(self._encode(cut).ids[:max_tokens]), True
            encoding = self._encode(cut.rstrip())  # blanks at the cut may belong to a longer run
            words = encoding.word_ids
            if words and words.index(words[-1]) >= max_tokens:
                return self._checked(encoding.ids[:max_tokens]), True
            length = min(length * 4, ceiling)
        ids = self._encode(text).ids
        return self._checked(ids[:max_tokens]), len(ids) > max_tokens

    def token(self, text: str) -> int | None:
        """The one id that this text is encoded as, or None."""
        ids = self._encode(text).ids
        return ids[0] if len(ids) == 1 and ids[0] not in self._forbidden else None

    def frame(self, parts: tuple[str, ...], controls: frozenset[str]) -> list[int]:
        """Ids of trusted parts, control tokens among them. Raises ModelError for one that is missing."""
        ids: list[int] = []
        for part in parts:
            if part not in controls:
                ids += self._encode(part).ids
            elif part in self.control_ids:
                ids.append(self.control_ids[part])
            else:
                raise ModelError(
                    f"tokenizer.json has no control token {part!r}: not a checkpoint of this family; "
                    "take the original Qwen3-Reranker files"
                )
        return ids

    def has_control(self, ids: Iterable[int]) -> bool:
        """Whether an id is a control token."""
        return not self._forbidden.isdisjoint(ids)

    def _encode(self, text: str) -> Encoding:
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _checked(self, ids: list[int]) -> list[int]:
        if self.has_control(ids):
            found = sorted(self._forbidden.intersection(ids))
            raise InputError(f"a text was encoded to control tokens {found}; the pair is not scored")
        return ids


class Prompter:
    """Builds prompts of one family for one tokenizer; each text is encoded once, however many pairs it is in."""

    def __init__(
        self,
        tokenizer_file: Path,
        *,
        max_document_tokens: int,
        max_query_tokens: int = MAX_QUERY_TOKENS,
        max_instruction_tokens: int = MAX_INSTRUCTION_TOKENS,
        form: Format = QWEN3,
    ) -> None:
        """Raises ModelError when the tokenizer does not fit the family."""
        specification = read_tokenizer(tokenizer_file)
        self._encoder = encoder = Encoder(specification)
        self.digest = prompt_digest(specification, form=form)
        self.yes_id = self._answer(form.yes)
        self.no_id = self._answer(form.no)
        self.vocabulary_size = encoder.vocabulary_size
        self._head = encoder.frame(form.before_instruction, form.controls)
        self._before_query = encoder.frame(form.before_query, form.controls)
        self._before_document = encoder.frame(form.before_document, form.controls)
        self._tail = encoder.frame(form.after_document, form.controls)
        self._limits = {
            "instruction": max_instruction_tokens,
            "query": max_query_tokens,
            "document": max_document_tokens,
        }
        frame = self._head + self._before_query + self._before_document + self._tail
        self.max_prompt_tokens = len(frame) + sum(self._limits.values())
        self._encode = lru_cache(_CACHED_TEXTS)(self._encode_text)
        self._query_part = lru_cache(_CACHED_TEXTS)(self._encode_query)

    def prompt(self, *, instruction: str, query: str, document: str) -> Prompt:
        """The prompt of one pair. Raises InputError for an instruction or a query over its limit."""
        front, neutralised = self._query_part(instruction, query)
        text = self._encode("document", document)
        if self._encoder.has_control(text.ids):
            raise InputError("a document was encoded to control tokens; the pair is not scored")
        return Prompt([*front, *text.ids, *self._tail], text.truncated, neutralised or text.neutralised)

    def _encode_query(self, instruction: str, query: str) -> tuple[list[int], bool]:
        told = self._encode("instruction", instruction)
        asked = self._encode("query", query)
        front = [*self._head, *told.ids, *self._before_query, *asked.ids, *self._before_document]
        return front, told.neutralised or asked.neutralised

    def _encode_text(self, kind: str, text: str) -> EncodedText:
        limit = self._limits[kind]
        clean, neutralised = neutralise(sanitise(text))
        slot = f" {clean}" if kind == "document" else f" {clean}\n"
        ids, truncated = self._encoder.encode(slot, max_tokens=limit)
        if truncated and kind != "document":
            shown = clean[:60].replace("\n", " ")
            raise InputError(f"{kind} {shown!r}… is longer than {limit} tokens; shorten it")
        return EncodedText(array("I", ids), truncated, neutralised)

    def _answer(self, word: str) -> int:
        token = self._encoder.token(word)
        if token is None:
            raise ModelError(
                f"{word!r} is not one token of this vocabulary: the checkpoint cannot answer; take a Qwen3-Reranker"
            )
        return token


def read_tokenizer(file: Path) -> dict[str, Any]:
    """The parsed tokenizer.json. Raises ModelError when it is missing or not JSON."""
    try:
        specification = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{file} is missing: a checkpoint needs its tokenizer.json") from None
    except ValueError as error:
        raise ModelError(f"{file} is not JSON ({error}); copy the checkpoint again") from None
    if not isinstance(specification, dict) or "model" not in specification:
        raise ModelError(f"{file} is not a tokenizer: it has no 'model'; copy the checkpoint again")
    return specification


def prompt_digest(specification: dict[str, Any], *, form: Format = QWEN3) -> str:
    """sha256, in hex, of everything that turns texts into ids: format, rules, and the tokenizer's relevant fields."""
    content = {
        "rules": RULES,
        "format": [
            form.name,
            form.before_instruction,
            form.before_query,
            form.before_document,
            form.after_document,
            sorted(form.controls),
            form.yes,
            form.no,
        ],
        "tokenizer": {
            name: specification.get(name) for name in ("model", "normalizer", "pre_tokenizer", "added_tokens")
        },
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
