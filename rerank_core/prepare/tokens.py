"""Tokens: the tags and texts of a fragment, one after another, and which of them a reader sees.

No tree is built. So depth costs nothing, and a tag that is never closed hides nothing.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rerank_core.prepare.markup import CUT_TAG, ELEMENTS, RAW, TAG

HIDDEN = frozenset(
    "annotation annotation-xml audio canvas datalist head iframe nav noembed noframes noscript rp rt rtc script select"
    " style svg template textarea title video".split()
)
RUBY = frozenset(("rb", "rp", "rt", "rtc"))  # each ends the one before it

# A paragraph ends where one of these begins, as in HTML: its end tag may be left out.
ENDS_PARAGRAPH = frozenset(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure footer form h1 h2"
    " h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext pre search section summary table ul xmp".split()
)

_MAY_HIDE = re.compile(r"hidden|display\s*+:", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([^\s/=]++)(?:\s*+=\s*+(\"[^\"]*+\"|'[^']*+'|[^\s\"']\S*+))?+")
_NOT_DISPLAYED = re.compile(r"display\s*+:\s*+none", re.IGNORECASE)
_EMPTY_COMMENT, _END_OF_COMMENT = re.compile("<!---?>"), re.compile("--!?>")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a fragment: text (its entities resolved), the start of an element, or its end."""

    kind: Literal["text", "start", "end"]
    value: str  # the text, or the name of the element
    attributes: str = ""


def tokens(markup: str) -> Iterator[Token]:
    """The pieces of a fragment, without comments, declarations and the contents of raw elements.

    What looks like a tag and is none is text: names that HTML does not know and that are never closed (`<SRD>`), and the
    start of a raw element or comment that never ends.
    """
    ends = _Ends(markup)
    at = start = 0  # `start` is where the text before `at` begins
    while (at := markup.find("<", at)) >= 0:
        tag = TAG.match(markup, at)
        token = None if tag is None else _token(tag, ends)
        end = tag.end() if tag is not None and token is not None else _end_of_other(markup, at, ends)
        if end is None:
            at += 1
            continue
        if start < at:
            yield Token("text", html.unescape(markup[start:at]))
        if token is not None:
            yield token
            if token.kind == "start" and token.value in RAW and not token.attributes.endswith("/"):
                # Without an end the element is a tag alone: see `_token`.
                end = ends.of_element(token.value, end) or end
        at = start = end
    if start < len(markup):
        yield Token("text", html.unescape(markup[start:]))


class _Ends:
    """Where raw elements and comments end. Remembers what the rest of the markup lacks, so that it is searched once."""

    def __init__(self, markup: str) -> None:
        self._markup = markup
        self._lowered: str | None = None
        self._lacking: set[str] = set()
        self._closed: set[str] | None = None
        self._has_comments = True  # the rest of the markup may have the end of a comment

    def of_comment(self, start: int) -> int | None:
        """The position behind the end of a comment that begins at `start`; None if the comment never ends."""
        if empty := _EMPTY_COMMENT.match(self._markup, start):
            return empty.end()
        if self._has_comments:
            end = _END_OF_COMMENT.search(self._markup, start + len("<!--"))
            self._has_comments = end is not None
            return None if end is None else end.end()
        return None

    def of_element(self, name: str, start: int) -> int | None:
        """The position before the next closing tag of an element; None if there is none."""
        if self._lowered is None:
            # Of İ alone the small form is longer; then positions would not hold.
            self._lowered = self._markup.replace("İ", "I").lower()
        if name in self._lacking:
            return None
        at = self._lowered.find(f"</{name}", start)
        if at < 0:
            self._lacking.add(name)
            return None
        return at

    def closes(self, name: str) -> bool:
        """Whether the markup has a closing tag of this name."""
        if self._closed is None:
            self._closed = {found.lower() for found in re.findall(r"</([a-zA-Z][\w:.-]*+)", self._markup)}
        return name in self._closed


def _token(tag: re.Match[str], ends: _Ends) -> Token | None:
    """The start or end of an element; None if the tag is text."""
    name, attributes = tag["name"].lower(), tag["attributes"]
    if name.endswith(":"):  # <https://example.org>
        return None
    if tag["close"]:
        return Token("end", name)
    if not attributes and name not in ELEMENTS and not ends.closes(name):
        return None
    if not attributes and name in RAW and ends.of_element(name, tag.end()) is None:
        return None
    return Token("start", name, attributes)


_OTHER = re.compile(rf"<![a-zA-Z\[][^<>]*+>|<\?[^<>]*+>|{CUT_TAG.pattern}|</[a-zA-Z][^<>]*+>")


def _end_of_other(markup: str, at: int, ends: _Ends) -> int | None:
    """Where a comment, a declaration, or a tag that was cut ends; None if it is text."""
    if markup.startswith("<!--", at):
        return ends.of_comment(at)
    other = _OTHER.match(markup, at)
    return None if other is None else other.end()


def visible(found: list[Token]) -> Iterator[Token]:
    """The tokens without hidden elements. An element that is never closed hides nothing."""
    hiding = {
        token.value
        for token in found
        if token.kind == "start" and (token.value in HIDDEN or _is_invisible(token.attributes))
    }
    end_of = _hidden_spans(found, hiding) if hiding else {}
    at = 0
    while at < len(found):
        if at in end_of:
            at = end_of[at]
        else:
            yield found[at]
            at += 1


def _is_invisible(attributes: str) -> bool:
    """Whether an attribute hides its element: `hidden`, or a style. Words in a title or in a list of classes do not."""
    if not attributes or _MAY_HIDE.search(attributes) is None:
        return False
    return any(
        name.lower() == "hidden" or (name.lower() == "style" and _NOT_DISPLAYED.search(value) is not None)
        for name, value in _ATTRIBUTE.findall(attributes)
    )


def _hidden_spans(found: list[Token], names: set[str]) -> dict[int, int]:
    """Start of each hidden element → the token behind its end."""
    opened: dict[str, list[int]] = {name: [] for name in names}
    spans: dict[int, int] = {}

    def close(name: str, end: int) -> None:
        if opened.get(name):
            start = opened[name].pop()
            if name in HIDDEN or _is_invisible(found[start].attributes):
                spans[start] = end

    for at, token in enumerate(found):
        if token.kind == "text":
            continue
        if token.value == "ruby" or (token.value in RUBY and token.kind == "start"):
            for name in RUBY:
                close(name, at)
        if token.kind == "start" and token.value in ENDS_PARAGRAPH:
            close("p", at)
        if token.kind == "end":
            close(token.value, at + 1)
        elif token.attributes.endswith("/") and token.value in HIDDEN:
            spans[at] = at + 1
        elif token.value in opened:
            opened[token.value].append(at)
    return spans
