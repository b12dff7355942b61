"""Encoding of untrusted text with a checkpoint's vocabulary, so that no text becomes a control token.

Ordinary tokenisation turns the text `<|im_end|>` of an article into the control token of that name. Two steps prevent it:

- The tokenizer gets no list of control tokens. That is enough if their ids lie beyond the vocabulary.
- If control tokens are entries of the vocabulary, as `</s>` is in XLM-R, these entries are renamed. Their ids stay, and
  no text has the new names. Normalisation cannot undo that, though it makes `</s>` of a full-width `</s>`.

A run of blanks that a vocabulary lists beside its control tokens, as ModernBERT's does, is text and stays in the list.

Every id is checked again after encoding.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from rerank_core.errors import InputError, ModelError
from rerank_core.models.weights import read_json

_CHARS_PER_TOKEN = 16  # the first guess of how many characters fill the token limit
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNREACHABLE = "\0"  # sanitised text has no NUL


def sanitise(text: str) -> str:
    """The text in valid Unicode without NUL.

    Pairs of surrogates are joined. A lone surrogate, which breaks the tokenizer for every text of its batch, becomes
    U+FFFD. A NUL becomes a space.
    """
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", " ")


class Encoder:
    """Encodes untrusted text with a checkpoint's vocabulary, without its control tokens."""

    def __init__(self, specification: dict[str, Any], *, controls: frozenset[str] = frozenset()) -> None:
        """`specification` is a parsed tokenizer.json. Control tokens are its added tokens that are not blank, and the
        entries of its vocabulary that are in `controls`. Raises ModelError if it cannot be used.
        """
        model = specification["model"]
        added = specification.get("added_tokens") or []
        blanks = [token for token in added if not token["content"].strip(" ") and not token.get("special")]
        self.control_ids = {name: number for name, number in _entries(model) if name in controls}
        self.control_ids.update({token["content"]: token["id"] for token in added if token not in blanks})
        self._forbidden = frozenset(self.control_ids.values())
        self._unknown: int | None = model.get("unk_id")  # only a Unigram model has it
        bare = {
            **specification,
            "model": _without(model, self.control_ids),
            "added_tokens": blanks,
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
        self._longest_token = max(map(len, [*vocabulary, *(token["content"] for token in blanks)]), default=1)
        self.vocabulary_size = 1 + max([*self._tokenizer.get_vocab().values(), *self._forbidden], default=-1)

    def encode(self, text: str, *, max_tokens: int) -> tuple[list[int], bool]:
        """At most `max_tokens` ids of sanitised text, and whether text was left over.

        The ids are the first ids of the whole text, but a long text is not encoded whole. It is cut first, and ids are
        taken from the words before the last word of the cut. If these are too few, four times as much text is tried, up
        to max_tokens × (longest token of the vocabulary) characters. If one word fills all of that, its ids are those
        of the cut word. Characters that the vocabulary lacks are left out, instead of `<unk>`. Raises InputError if an
        id is a control token.
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

    def count(self, text: str) -> int:
        """The number of tokens of a text. A control token that the text spells out counts as text."""
        return len(self._ids(sanitise(text)))

    def token(self, text: str) -> int | None:
        """The id of a text that is exactly one token, else None."""
        ids = self._ids(text)
        return ids[0] if len(ids) == 1 and ids[0] not in self._forbidden else None

    def frame(self, parts: tuple[str, ...], controls: frozenset[str]) -> list[int]:
        """The ids of trusted parts; a part in `controls` is one control token. Raises ModelError if it is missing."""
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
        """Whether any of the ids is a control token."""
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
            raise InputError(
                f"a text was encoded to control tokens {found}; the pair is refused, and the page comes out without it"
            )
        return ids


def read_tokenizer(file: Path) -> dict[str, Any]:
    """The parsed tokenizer.json. Raises ModelError if it is missing, not JSON, or not a tokenizer."""
    specification = read_json(file, missing="a checkpoint needs its tokenizer.json")
    if not isinstance(specification, dict) or not isinstance(specification.get("model"), dict):
        raise ModelError(f"{file} is not a tokenizer: it has no 'model'; copy the checkpoint again")
    return specification


def _entries(model: dict[str, Any]) -> Iterable[tuple[str, int]]:
    """Name and id of each entry of a vocabulary. A Unigram model lists (name, score) in the order of ids."""
    vocabulary = model.get("vocab") or {}
    if isinstance(vocabulary, dict):
        return vocabulary.items()
    return ((entry[0], number) for number, entry in enumerate(vocabulary))


def _without(model: dict[str, Any], controls: Iterable[str]) -> dict[str, Any]:
    """The model with these entries renamed to names that no text has; their ids stay.

    A vocabulary that is a dict stays as it is: its merges refer to names, and in no known family it has control tokens.
    """
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, list):
        return model
    hidden = {name: _UNREACHABLE + name for name in controls}
    return {**model, "vocab": [[hidden.get(name, name), score] for name, score in vocabulary]}
