"""Encoding of untrusted text with a checkpoint's vocabulary, so that no text becomes a control token.

Ordinary tokenisation turns the text `<|im_end|>` of an article into the control token of that name. Taking the
tokenizer's list of control tokens away is enough where their ids lie beyond the vocabulary. Where they are ordinary
entries of it, as `</s>` is in XLM-R, the entries are renamed: their ids stay where they are, and no text has the new
names. That holds after normalisation too, which makes `</s>` of its full-width look-alike. Every id is checked after
that all the same.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from rerank_core.errors import InputError, ModelError
from rerank_core.models.weights import read_json

_CHARS_PER_TOKEN = 16  # first guess of how much text fills the token limit
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNREACHABLE = "\0"  # sanitised text has none


def sanitise(text: str) -> str:
    """The text in valid Unicode without NUL: UTF-16 pairs are joined, lone surrogates become U+FFFD, NUL a space.

    A lone surrogate breaks the tokenizer for every text of its batch.
    """
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", " ")


class Encoder:
    """Encodes untrusted text with a checkpoint's vocabulary, its control tokens taken out."""

    def __init__(self, specification: dict[str, Any], *, controls: frozenset[str] = frozenset()) -> None:
        """`specification`: a parsed tokenizer.json; every token that it lists as added is a control token, and so is
        every entry of its vocabulary that is in `controls`. Raises ModelError when it cannot be used.
        """
        model = specification["model"]
        added = specification.get("added_tokens") or []
        self.control_ids = {name: number for name, number in _entries(model) if name in controls}
        self.control_ids.update({token["content"]: token["id"] for token in added})
        self._forbidden = frozenset(self.control_ids.values())
        self._unknown: int | None = model.get("unk_id")  # of a Unigram model only
        bare = {
            **specification,
            "model": _without(model, self.control_ids),
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
        all of that, its ids are those of the cut word. Characters that the vocabulary lacks are left out, where
        others would put `<unk>`. Raises InputError if an id is a control token.
        """
        ceiling = max_tokens * self._longest_token
        length = min(max_tokens * _CHARS_PER_TOKEN, ceiling)
        while length < len(text):
            cut = text[:length]
            if length == ceiling:
                return self._checked(self._ids(cut)[:max_tokens]), True
            encoding = self._encode(cut.rstrip())  # blanks at the cut may belong to a longer run
            words = encoding.word_ids
            whole = self._known(encoding.ids[: words.index(words[-1])] if words else [])
            if len(whole) >= max_tokens:
                return self._checked(whole[:max_tokens]), True
            length = min(length * 4, ceiling)
        ids = self._ids(text)
        return self._checked(ids[:max_tokens]), len(ids) > max_tokens

    def token(self, text: str) -> int | None:
        """The one id that this text is encoded as, or None."""
        ids = self._ids(text)
        return ids[0] if len(ids) == 1 and ids[0] not in self._forbidden else None

    def frame(self, parts: tuple[str, ...], controls: frozenset[str]) -> list[int]:
        """Ids of trusted parts, control tokens among them. Raises ModelError for one that is missing."""
        ids: list[int] = []
        for part in parts:
            if part not in controls:
                ids += self._ids(part)
            elif part in self.control_ids:
                ids.append(self.control_ids[part])
            else:
                raise ModelError(
                    f"tokenizer.json has no control token {part!r}: not a checkpoint of this family; "
                    "take the files of the original"
                )
        return ids

    def has_control(self, ids: Iterable[int]) -> bool:
        """Whether an id is a control token."""
        return not self._forbidden.isdisjoint(ids)

    def _ids(self, text: str) -> list[int]:
        return self._known(self._encode(text).ids)

    def _known(self, ids: list[int]) -> list[int]:
        return [number for number in ids if number != self._unknown] if self._unknown in ids else ids

    def _encode(self, text: str) -> Encoding:
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _checked(self, ids: list[int]) -> list[int]:
        if self.has_control(ids):
            found = sorted(self._forbidden.intersection(ids))
            raise InputError(f"a text was encoded to control tokens {found}; the pair is not scored")
        return ids


def read_tokenizer(file: Path) -> dict[str, Any]:
    """The parsed tokenizer.json. Raises ModelError when it is missing or not JSON."""
    specification = read_json(file, missing="a checkpoint needs its tokenizer.json")
    if not isinstance(specification, dict) or not isinstance(specification.get("model"), dict):
        raise ModelError(f"{file} is not a tokenizer: it has no 'model'; copy the checkpoint again")
    return specification


def _entries(model: dict[str, Any]) -> Iterable[tuple[str, int]]:
    """Name and id of each entry of a vocabulary; a Unigram model lists (name, score) in the order of ids."""
    vocabulary = model.get("vocab") or {}
    if isinstance(vocabulary, dict):
        return vocabulary.items()
    return ((entry[0], number) for number, entry in enumerate(vocabulary))


def _without(model: dict[str, Any], controls: Iterable[str]) -> dict[str, Any]:
    """The model with these entries renamed to what no text has, their ids kept; as it is where it has none."""
    vocabulary = model.get("vocab")
    if not isinstance(
        vocabulary, list
    ):  # of a dict, merges speak by name; there no known family has controls
        return model
    hidden = {name: _UNREACHABLE + name for name in controls}
    return {**model, "vocab": [[hidden.get(name, name), score] for name, score in vocabulary]}
