"""topics.yaml → topic records.

Everything that is wrong with a file is reported at once, each with line, field and value. No topic of the file is
returned then. Only plain YAML is read: nothing in a file can make an object or run code. Nothing in it can grow, either:
what aliases and merges come to is counted before it is made.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rerank_core.errors import InputError
from rerank_core.records import Topic
from rerank_core.setting_values import SLUG
from rerank_core.storage.bounded import read_bounded
from rerank_core.storage.languages import canonical

MOST = 1_000  # candidate_limit and top_k
LONGEST_QUERY = 2_000  # characters; also of an instruction
LEAST_HALF_LIFE = 0.001  # hours; with less, no number can hold the rank score of an old article
LONGEST_TERM = 200  # characters of a must or must_not term
LARGEST = 8 << 20  # bytes of a file
MOST_TOPICS = 10_000
MOST_NODES = 300_000  # names, values, lists and mappings of a file
DEEPEST = 50  # lists and mappings within one another
MOST_FIELDS = 100  # of one mapping, with all that it merges
MOST_ITEMS = 1_000  # of a list
MOST_PROBLEMS = 100  # that one error tells
_MAY_BE_NULL = ("min_score", "max_per_source")
COUNTRIES = {"cn": "zh", "jp": "ja", "us": "en", "gb": "en", "gr": "el", "cz": "cs", "dk": "da", "ua": "uk"}

# The parser in C is ten times as quick. It is a part of most builds of PyYAML.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Wrong(Exception):
    """One thing is wrong, at a node of the file."""

    def __init__(self, node: Node, message: str) -> None:
        super().__init__(message)
        self.line = node.start_mark.line + 1


def load_topics(path: Path | str) -> list[Topic]:
    """The topics of a YAML file, in its order. Raises InputError that lists all that is wrong with it."""
    content = read_bounded(Path(path), most=LARGEST, what=str(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from error
    try:
        _check_size(text, str(path))
        reader = _Reader(path=str(path), loader=_Loader(text))
        topics = reader.read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise InputError(f"{place}: not YAML: {error.problem or error.context}; correct it there") from error
    except yaml.reader.ReaderError as error:
        # The parser in C tells the place in bytes.
        line = text.encode()[: error.position].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: a control character; take it out") from error
    if reader.problems:
        several = [f"{path} has {len(reader.problems):,} errors:"] if len(reader.problems) > 1 else []
        more = ["…"] if len(reader.problems) > MOST_PROBLEMS else []
        raise InputError("\n  ".join(several + reader.problems[:MOST_PROBLEMS] + more))
    return topics


def _check_size(text: str, path: str) -> None:
    """Raise InputError if a file is nested too deep, or says more than topics need. Its nodes are counted before they are made."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise InputError(
                f"{path}: lists or mappings are nested too deep to be topics; write a flat list of topics"
            )
        nodes += isinstance(event, yaml.NodeEvent)
        if nodes > MOST_NODES:
            raise InputError(f"{path} has more than {MOST_NODES:,} names and values; split it over pipelines")


class _Reader:
    """Reads one file; what is wrong with it gathers in `problems`."""

    def __init__(self, *, path: str, loader: Any) -> None:
        self.problems: list[str] = []
        self._path = path
        self._loader = loader
        self._topic: str | None = None  # the one being read, as an error names it
        self._fields_of: dict[int, int] = {}

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Go on after the block when something in it is wrong."""
        try:
            yield
        except _Wrong as wrong:
            place = f"{self._path}, line {wrong.line}"
            self.problems.append(f"{self._topic} ({place}): {wrong}" if self._topic else f"{place}: {wrong}")

    def read(self) -> list[Topic]:
        """The topics that nothing is wrong with."""
        root = self._loader.get_single_node()
        if root is None:
            self.problems.append(f"{self._path} is empty; write `topics:` and a list of topics under it")
        found: list[Topic] = []
        lines: dict[str, int] = {}
        with self._noting():
            for number, node in enumerate(self._entries(root) if root else (), 1):
                self._topic = f"topic {number}"
                with self._noting():
                    if not isinstance(node, MappingNode):
                        raise _Wrong(
                            node, f"it is {_kind(node)}, not fields with values; begin it with `slug:`"
                        )
                    if name := _named(node):
                        self._topic = f"topic '{_cut(name)}'"
                        with self._noting():
                            if name in lines:
                                raise _Wrong(
                                    node,
                                    f"slug '{_cut(name)}' is on line {lines[name]} already; give each topic its own",
                                )
                            lines[name] = node.start_mark.line + 1
                    found += self._read_topic(node)
        return found

    def _entries(self, root: Node) -> list[Node]:
        if not isinstance(root, MappingNode):
            raise _Wrong(root, f"the file is {_kind(root)}; write `topics:` and a list of topics under it")
        values = self._fields(root, ("topics",))
        if "topics" not in values:
            raise _Wrong(root, "there is no `topics:`; write it, and a list of topics under it")
        node = values["topics"]
        if not isinstance(node, SequenceNode):
            raise _Wrong(node, f"topics is {_kind(node)}, not a list; begin each topic with `- slug:`")
        if len(node.value) > MOST_TOPICS:
            raise _Wrong(node, f"topics has {len(node.value):,} items; {MOST_TOPICS:,} is the most")
        entries: list[Node] = node.value
        return entries

    def _read_topic(self, node: MappingNode) -> list[Topic]:
        before = len(self.problems)
        nodes = self._fields(node, tuple(_READERS))
        values: dict[str, Any] = {}
        for name, value in nodes.items():
            with self._noting():
                if _tag(value) == "null" and name not in _MAY_BE_NULL:
                    raise _Wrong(value, f"{name} is empty; give it a value or leave the line out")
                values[name] = _READERS[name](self, value, name)
        with self._noting():
            for name in ("slug", "query"):
                if name not in nodes:
                    raise _Wrong(node, f"{name} is missing; every topic has a slug and a query")
            barred = {term.casefold() for term in values.get("must_not", ())}
            for term in values.get("must", ()):
                if term.casefold() in barred:
                    raise _Wrong(
                        nodes["must_not"], f"must_not has '{term}', which must has too; keep one of them"
                    )
        return [Topic(**values)] if len(self.problems) == before else []

    def _fields(self, node: MappingNode, known: tuple[str, ...]) -> dict[str, Node]:
        """The values of a mapping by name, after noting names that are unknown or are there twice."""
        self._note_repeated(node)
        if self._count_fields(node) > MOST_FIELDS:
            raise _Wrong(
                node, f"with what it merges (`<<`) it has more than {MOST_FIELDS} fields; write them out"
            )
        self._loader.flatten_mapping(node)  # takes in the mapping that `<<: *name` refers to
        found: dict[str, Node] = {}
        for key, value in node.value:
            with self._noting():
                name = key.value if isinstance(key, ScalarNode) else ""
                if name not in known:
                    # A hint takes a while, and of so many errors it is not told.
                    is_told = len(self.problems) < MOST_PROBLEMS
                    near = difflib.get_close_matches(name, known, n=1) if is_told else []
                    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
                    raise _Wrong(key, f"unknown field {_shown(key)}; {hint}")
                found[name] = value
        return found

    def _count_fields(self, node: Node) -> int:
        """Fields of a mapping with all that it merges, and that these merge; each node is counted once."""
        if id(node) not in self._fields_of:
            self._fields_of[id(node)] = 0  # of a mapping that merges itself
            if isinstance(node, MappingNode):
                merged = [value for key, value in node.value if _tag(key) == "merge"]
                count = len(node.value) + sum(self._count_fields(value) for value in merged)
            else:
                count = sum(map(self._count_fields, node.value)) if isinstance(node, SequenceNode) else 0
            self._fields_of[id(node)] = count
        return self._fields_of[id(node)]

    def _note_repeated(self, node: MappingNode) -> None:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            with self._noting():
                if isinstance(key, ScalarNode) and key.value in lines:
                    raise _Wrong(
                        key, f"{_cut(key.value)} is on line {lines[key.value]} already; keep one of them"
                    )
                if isinstance(key, ScalarNode):
                    lines[key.value] = key.start_mark.line + 1

    def items(self, node: Node, name: str, read: "_ReadItem") -> tuple[str, ...]:
        """The items of a list, without those that something is wrong with."""
        if not isinstance(node, SequenceNode):
            raise _Wrong(node, f"{name} is {_kind(node)}, not a list; write it in square brackets")
        if len(node.value) > MOST_ITEMS:
            raise _Wrong(node, f"{name} has {len(node.value):,} items; {MOST_ITEMS:,} is the most")
        found: list[str] = []
        for item in node.value:
            with self._noting():
                value = read(item, name)
                if value in found:
                    raise _Wrong(item, f"{name} has '{value}' twice; keep one of them")
                found.append(value)
        return tuple(found)

    def queries(self, node: Node, name: str) -> dict[str, str]:
        """The query of each language, without those that something is wrong with."""
        if not isinstance(node, MappingNode):
            raise _Wrong(node, f"{name} is {_kind(node)}; write {name}: {{en: a query, zh: another}}")
        self._note_repeated(node)
        found: dict[str, str] = {}
        written: dict[str, str] = {}  # code → how the file writes it
        for key, value in node.value:
            with self._noting():
                lang = _language(key, name)
                if lang in found and written[lang] != key.value:
                    raise _Wrong(key, f"{name} has '{lang}' twice; keep one of them")
                written[lang] = key.value
                found[lang] = _text(value, f"{name}.{lang}", most=LONGEST_QUERY)
        return found


_ReadItem = Callable[[Node, str], str]


def _slug(node: Node, name: str) -> str:
    value = _text(node, name, most=1_000)
    if not re.fullmatch(SLUG, value):
        raise _Wrong(
            node, f"slug {_shown(node)} is not 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit"
        )
    return value


def _text(node: Node, name: str, *, most: int) -> str:
    if not isinstance(node, ScalarNode):
        raise _Wrong(node, f"{name} is {_kind(node)}, not text")
    if _tag(node) not in {"str", "null"}:
        raise _Wrong(node, f"{name} {_shown(node)} is {_kind(node)}, not text; put it in quotes")
    value = str(node.value).strip() if _tag(node) == "str" else ""
    if not value:
        raise _Wrong(node, f"{name} is empty; write its text")
    if len(value) > most:
        raise _Wrong(node, f"{name} {_shown(node)} has {len(value):,} characters; {most:,} is the most")
    if "\0" in value:
        raise _Wrong(node, f"{name} {_shown(node)} holds a NUL character; take it out")
    if lone := re.search("[\ud800-\udfff]", value):
        raise _Wrong(node, f"{name} holds half a character, U+{ord(lone[0]):04X}; write the whole one")
    return value


def _term(node: Node, name: str) -> str:
    return _text(node, name, most=LONGEST_TERM)


def _language(node: Node, name: str) -> str:
    # YAML takes `no` for false: the code of Norwegian is what is written, not what YAML makes of it.
    written = str(node.value) if isinstance(node, ScalarNode) else ""
    code = canonical(written)
    if code is not None:
        return code
    meant = COUNTRIES.get(re.split("[-_]", written.lower())[0])
    hint = f"did you mean '{meant}'?" if meant else "write a code such as en or zh"
    raise _Wrong(node, f"{name} {_shown(node)} is not a language code of BCP 47; {hint}")


def _whole(node: Node, name: str) -> int:
    if not isinstance(node, ScalarNode) or not re.fullmatch(r"[-+]?[0-9]{1,18}", node.value) or node.style:
        raise _Wrong(node, f"{name} {_shown(node)} is not a whole number in 1..{MOST}")
    if not 1 <= int(node.value) <= MOST:
        raise _Wrong(node, f"{name} {node.value} is not in 1..{MOST}")
    return int(node.value)


def _number(node: Node, name: str) -> float:
    try:
        value = float(node.value) if isinstance(node, ScalarNode) and not node.style else None
    except ValueError:
        value = float("nan") if _tag(node) == "float" else None
    if value is None:
        raise _Wrong(node, f"{name} {_shown(node)} is not a number")
    if not math.isfinite(value):
        raise _Wrong(node, f"{name} {_shown(node)} is not a finite number")
    return value


def _logit(node: Node, name: str) -> float | None:
    return None if _tag(node) == "null" else _number(node, name)


def _hours(node: Node, name: str) -> float:
    value = _number(node, name)
    if value <= 0:
        raise _Wrong(node, f"{name} {_shown(node)} is not more than 0")
    if value < LEAST_HALF_LIFE:
        raise _Wrong(node, f"{name} {_shown(node)} is under {LEAST_HALF_LIFE}, the least")
    return value


def _share(node: Node, name: str) -> float:
    value = _number(node, name)
    if not 0 <= value <= 1:
        raise _Wrong(node, f"{name} {_shown(node)} is not in 0..1")
    return value


def _flag(node: Node, name: str) -> bool:
    if _tag(node) != "bool":
        raise _Wrong(node, f"{name} {_shown(node)} is not true or false")
    return str(node.value).lower() in {"true", "yes", "on"}


def _named(node: MappingNode) -> str | None:
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == "slug" and isinstance(value, ScalarNode):
            return str(value.value) or None
    return None


def _tag(node: Node) -> str:
    return str(node.tag).rpartition(":")[2]


def _kind(node: Node) -> str:
    kinds = {"seq": "a list", "map": "a mapping", "str": "text", "null": "nothing", "bool": "true or false"}
    numbers = {"int": "a number", "float": "a number", "timestamp": "a date"}
    return (kinds | numbers).get(_tag(node), f"a {node.tag}")


def _shown(node: Node) -> str:
    """A value as an error shows it: quoted if it is text, never long."""
    if not isinstance(node, ScalarNode):
        return _kind(node)
    return repr(_cut(node.value)) if _tag(node) == "str" else _cut(node.value)


def _cut(value: str) -> str:
    return value if len(value) <= 60 else value[:59] + "…"


_READERS: dict[str, Callable[[_Reader, Node, str], Any]] = {
    "slug": lambda reader, node, name: _slug(node, name),
    "query": lambda reader, node, name: _text(node, name, most=LONGEST_QUERY),
    "queries": lambda reader, node, name: reader.queries(node, name),
    "instruction": lambda reader, node, name: _text(node, name, most=LONGEST_QUERY),
    "languages": lambda reader, node, name: reader.items(node, name, _language),
    "must": lambda reader, node, name: reader.items(node, name, _term),
    "must_not": lambda reader, node, name: reader.items(node, name, _term),
    "candidate_limit": lambda reader, node, name: _whole(node, name),
    "top_k": lambda reader, node, name: _whole(node, name),
    "min_score": lambda reader, node, name: _logit(node, name),
    "half_life_hours": lambda reader, node, name: _hours(node, name),
    "max_per_source": lambda reader, node, name: None if _tag(node) == "null" else _whole(node, name),
    "diversity": lambda reader, node, name: _share(node, name),
    "active": lambda reader, node, name: _flag(node, name),
}
