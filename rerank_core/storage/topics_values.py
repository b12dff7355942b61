"""One value of a topics file → the value of a field, or what is wrong with it and where."""

import math
import re
from dataclasses import dataclass

from yaml.nodes import Node, ScalarNode

from rerank_core.setting_values import SLUG
from rerank_core.storage.languages import canonical

MOST = 1_000  # candidate_limit and top_k
LONGEST_QUERY = 2_000  # characters; also of an instruction
LEAST_HALF_LIFE = 0.001  # hours; with less, no number can hold the rank score of an old article
LONGEST_TERM = 200  # characters of a must or must_not term
COUNTRIES = {"cn": "zh", "jp": "ja", "us": "en", "gb": "en", "gr": "el", "cz": "cs", "dk": "da", "ua": "uk"}


@dataclass(frozen=True)
class Place:
    """Where something is in a file: line and column (a character), both from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, node: Node) -> "Place":
        """Where a node begins."""
        return cls(node.start_mark.line + 1, node.start_mark.column + 1)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file."""

    message: str  # what is wrong, which value, what to do
    place: Place | None  # None: it is wrong with the whole file
    topic: str | None = None  # the topic, as an error names it

    def told(self, file: str) -> str:
        """The sentence of an error about this file."""
        if self.place is None:
            return f"{file} {self.message}"
        where = f"{file}, line {self.place.line}"
        return f"{self.topic} ({where}): {self.message}" if self.topic else f"{where}: {self.message}"


class Wrong(Exception):
    """One thing is wrong, at a node of the file."""

    def __init__(self, node: Node, message: str) -> None:
        super().__init__(message)
        self.place = Place.of(node)


def to_slug(node: Node, name: str) -> str:
    """A slug."""
    value = to_text(node, name, most=1_000)
    if not re.fullmatch(SLUG, value):
        raise Wrong(
            node, f"slug {shown(node)} is not 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit"
        )
    return value


def to_text(node: Node, name: str, *, most: int) -> str:
    """A text that is not empty."""
    if not isinstance(node, ScalarNode):
        raise Wrong(node, f"{name} is {kind(node)}, not text")
    if tag(node) not in {"str", "null"}:
        raise Wrong(node, f"{name} {shown(node)} is {kind(node)}, not text; put it in quotes")
    value = str(node.value).strip() if tag(node) == "str" else ""
    if not value:
        raise Wrong(node, f"{name} is empty; write its text")
    if len(value) > most:
        raise Wrong(node, f"{name} {shown(node)} has {len(value):,} characters; {most:,} is the most")
    if "\0" in value:
        raise Wrong(node, f"{name} {shown(node)} holds a NUL character; take it out")
    if lone := re.search("[\ud800-\udfff]", value):
        raise Wrong(node, f"{name} holds half a character, U+{ord(lone[0]):04X}; write the whole one")
    return value


def to_term(node: Node, name: str) -> str:
    """A term of must or must_not."""
    return to_text(node, name, most=LONGEST_TERM)


def to_language(node: Node, name: str) -> str:
    """A language code, as documents have it."""
    # YAML takes `no` for false: the code of Norwegian is what is written, not what YAML makes of it.
    written = str(node.value) if isinstance(node, ScalarNode) else ""
    code = canonical(written)
    if code is not None:
        return code
    meant = COUNTRIES.get(re.split("[-_]", written.lower())[0])
    hint = f"did you mean '{meant}'?" if meant else "write a code such as en or zh"
    raise Wrong(node, f"{name} {shown(node)} is not a language code of BCP 47; {hint}")


def to_whole(node: Node, name: str) -> int:
    """A whole number in 1..MOST."""
    if not isinstance(node, ScalarNode) or not re.fullmatch(r"[-+]?[0-9]{1,18}", node.value) or node.style:
        raise Wrong(node, f"{name} {shown(node)} is not a whole number in 1..{MOST}")
    if not 1 <= int(node.value) <= MOST:
        raise Wrong(node, f"{name} {node.value} is not in 1..{MOST}")
    return int(node.value)


def to_number(node: Node, name: str) -> float:
    """A finite number."""
    try:
        value = float(node.value) if isinstance(node, ScalarNode) and not node.style else None
    except ValueError:
        value = float("nan") if tag(node) == "float" else None
    if value is None:
        raise Wrong(node, f"{name} {shown(node)} is not a number")
    if not math.isfinite(value):
        raise Wrong(node, f"{name} {shown(node)} is not a finite number")
    return value


def to_logit(node: Node, name: str) -> float | None:
    """A finite number, or None."""
    return None if tag(node) == "null" else to_number(node, name)


def to_hours(node: Node, name: str) -> float:
    """Hours, at least LEAST_HALF_LIFE."""
    value = to_number(node, name)
    if value <= 0:
        raise Wrong(node, f"{name} {shown(node)} is not more than 0")
    if value < LEAST_HALF_LIFE:
        raise Wrong(node, f"{name} {shown(node)} is under {LEAST_HALF_LIFE}, the least")
    return value


def to_share(node: Node, name: str) -> float:
    """A number in 0..1."""
    value = to_number(node, name)
    if not 0 <= value <= 1:
        raise Wrong(node, f"{name} {shown(node)} is not in 0..1")
    return value


def to_flag(node: Node, name: str) -> bool:
    """True or false."""
    if tag(node) != "bool":
        raise Wrong(node, f"{name} {shown(node)} is not true or false")
    return str(node.value).lower() in {"true", "yes", "on"}


def tag(node: Node) -> str:
    """The kind of a node, as YAML calls it."""
    return str(node.tag).rpartition(":")[2]


def kind(node: Node) -> str:
    """The kind of a node, as an error calls it."""
    kinds = {"seq": "a list", "map": "a mapping", "str": "text", "null": "nothing", "bool": "true or false"}
    numbers = {"int": "a number", "float": "a number", "timestamp": "a date"}
    return (kinds | numbers).get(tag(node), f"a {node.tag}")


def shown(node: Node) -> str:
    """A value as an error shows it: quoted if it is text, never long."""
    if not isinstance(node, ScalarNode):
        return kind(node)
    return repr(cut(node.value)) if tag(node) == "str" else cut(node.value)


def cut(value: str) -> str:
    """A value that is not too long for an error."""
    return value if len(value) <= 60 else value[:59] + "…"
