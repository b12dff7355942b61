"""topics.yaml → topic records.

Everything that is wrong with a file is reported at once, each with line, field and value. No topic of the file is
returned then. Only plain YAML is read: nothing in a file can make an object or run code. Nothing in it can grow, either:
what aliases and merges come to is counted before it is made.
"""

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rerank_core.errors import InputError
from rerank_core.records import Topic
from rerank_core.storage.bounded import read_bounded
from rerank_core.storage.topics_values import (
    LONGEST_QUERY,
    Place,
    Problem,
    Wrong,
    cut,
    kind,
    shown,
    tag,
    to_flag,
    to_hours,
    to_language,
    to_logit,
    to_share,
    to_slug,
    to_term,
    to_text,
    to_whole,
)

LARGEST = 8 << 20  # bytes of a file
MOST_TOPICS = 10_000
MOST_NODES = 300_000  # names, values, lists and mappings of a file
DEEPEST = 50  # lists and mappings within one another
MOST_FIELDS = 100  # of one mapping, with all that it merges
MOST_ITEMS = 1_000  # of a list
MOST_PROBLEMS = 100  # that one error tells
_MAY_BE_NULL = ("min_score", "max_per_source")
# The parser in C is ten times as quick. It is a part of most builds of PyYAML.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class TopicsFile:
    """What a file says, and all that is wrong with it."""

    topics: list[Topic]  # those that nothing is wrong with, in the file's order
    places: list[dict[str, Place]]  # of each of these topics: field → where its value is; "" → the topic
    problems: list[Problem]


def load_topics(path: Path | str) -> list[Topic]:
    """The topics of a YAML file, in its order. Raises InputError that lists all that is wrong with it."""
    return checked(read_topics(read_bounded(Path(path), most=LARGEST, what=str(path))), str(path))


def checked(found: TopicsFile, file: str) -> list[Topic]:
    """The topics of a file that nothing is wrong with. Raises InputError that lists all that is wrong."""
    told = [problem.told(file) for problem in found.problems[:MOST_PROBLEMS]]
    if told:
        several = [f"{file} has {len(found.problems):,} errors:"] if len(found.problems) > 1 else []
        more = ["…"] if len(found.problems) > MOST_PROBLEMS else []
        raise InputError("\n  ".join(several + told + more))
    return found.topics


def read_topics(content: bytes) -> TopicsFile:
    """What the content of a file says, and all that is wrong with it."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return _unreadable("not UTF-8; save the file as UTF-8", Place(line, 1))
    try:
        if too_large := _check_size(text):
            return _unreadable(too_large, None)
        reader = _Reader(loader=_Loader(text))
        topics = reader.read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else None
        return _unreadable(
            f"{'' if place else 'is '}not YAML: {error.problem or error.context}; correct it there", place
        )
    except yaml.reader.ReaderError as error:
        # The parser in C tells the place in bytes.
        line = text.encode()[: error.position].count(b"\n") + 1
        return _unreadable("a control character; take it out", Place(line, 1))
    return TopicsFile(topics, reader.places, reader.problems)


def _unreadable(message: str, place: Place | None) -> TopicsFile:
    return TopicsFile([], [], [Problem(message, place)])


def _check_size(text: str) -> str | None:
    """Why a file is too deep, or says more than topics need. Its nodes are counted before they are made."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            return "has lists or mappings that are nested too deep to be topics; write a flat list of topics"
        nodes += isinstance(event, yaml.NodeEvent)
        if nodes > MOST_NODES:
            return f"has more than {MOST_NODES:,} names and values; split it over pipelines"
    return None


class _Reader:
    """Reads one file; what is wrong with it gathers in `problems`."""

    def __init__(self, *, loader: Any) -> None:
        self.problems: list[Problem] = []
        self.places: list[dict[str, Place]] = []  # of each topic that is returned
        self._loader = loader
        self._topic: str | None = None  # the one being read, as an error names it
        self._fields_of: dict[int, int] = {}

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Go on after the block when something in it is wrong."""
        try:
            yield
        except Wrong as wrong:
            self.problems.append(Problem(str(wrong), wrong.place, self._topic))

    def read(self) -> list[Topic]:
        """The topics that nothing is wrong with."""
        root = self._loader.get_single_node()
        if root is None:
            self.problems.append(Problem("is empty; write `topics:` and a list of topics under it", None))
        found: list[Topic] = []
        lines: dict[str, int] = {}
        with self._noting():
            for number, node in enumerate(self._entries(root) if root else (), 1):
                self._topic = f"topic {number}"
                with self._noting():
                    if not isinstance(node, MappingNode):
                        raise Wrong(
                            node, f"it is {kind(node)}, not fields with values; begin it with `slug:`"
                        )
                    if name := _named(node):
                        self._topic = f"topic '{cut(name)}'"
                        with self._noting():
                            if name in lines:
                                raise Wrong(
                                    node,
                                    f"slug '{cut(name)}' is on line {lines[name]} already; give each topic its own",
                                )
                            lines[name] = node.start_mark.line + 1
                    found += self._read_topic(node)
        return found

    def _entries(self, root: Node) -> list[Node]:
        if not isinstance(root, MappingNode):
            raise Wrong(root, f"the file is {kind(root)}; write `topics:` and a list of topics under it")
        values = self._fields(root, ("topics",))
        if "topics" not in values:
            raise Wrong(root, "there is no `topics:`; write it, and a list of topics under it")
        node = values["topics"]
        if not isinstance(node, SequenceNode):
            raise Wrong(node, f"topics is {kind(node)}, not a list; begin each topic with `- slug:`")
        if len(node.value) > MOST_TOPICS:
            raise Wrong(node, f"topics has {len(node.value):,} items; {MOST_TOPICS:,} is the most")
        entries: list[Node] = node.value
        return entries

    def _read_topic(self, node: MappingNode) -> list[Topic]:
        before = len(self.problems)
        nodes = self._fields(node, tuple(_READERS))
        values: dict[str, Any] = {}
        for name, value in nodes.items():
            with self._noting():
                if tag(value) == "null" and name not in _MAY_BE_NULL:
                    raise Wrong(value, f"{name} is empty; give it a value or leave the line out")
                values[name] = _READERS[name](self, value, name)
        with self._noting():
            for name in ("slug", "query"):
                if name not in nodes:
                    raise Wrong(node, f"{name} is missing; every topic has a slug and a query")
            barred = {term.casefold() for term in values.get("must_not", ())}
            for term in values.get("must", ()):
                if term.casefold() in barred:
                    raise Wrong(
                        nodes["must_not"], f"must_not has '{term}', which must has too; keep one of them"
                    )
        if len(self.problems) > before:
            return []
        self.places.append({"": Place.of(node), **{name: Place.of(value) for name, value in nodes.items()}})
        return [Topic(**values)]

    def _fields(self, node: MappingNode, known: tuple[str, ...]) -> dict[str, Node]:
        """The values of a mapping by name, after noting names that are unknown or are there twice."""
        self._note_repeated(node)
        if self._count_fields(node) > MOST_FIELDS:
            raise Wrong(
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
                    raise Wrong(key, f"unknown field {shown(key)}; {hint}")
                found[name] = value
        return found

    def _count_fields(self, node: Node) -> int:
        """Fields of a mapping with all that it merges, and that these merge; each node is counted once."""
        if id(node) not in self._fields_of:
            self._fields_of[id(node)] = 0  # of a mapping that merges itself
            if isinstance(node, MappingNode):
                merged = [value for key, value in node.value if tag(key) == "merge"]
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
                    raise Wrong(
                        key, f"{cut(key.value)} is on line {lines[key.value]} already; keep one of them"
                    )
                if isinstance(key, ScalarNode):
                    lines[key.value] = key.start_mark.line + 1

    def items(self, node: Node, name: str, read: "_ReadItem") -> tuple[str, ...]:
        """The items of a list, without those that something is wrong with."""
        if not isinstance(node, SequenceNode):
            raise Wrong(node, f"{name} is {kind(node)}, not a list; write it in square brackets")
        if len(node.value) > MOST_ITEMS:
            raise Wrong(node, f"{name} has {len(node.value):,} items; {MOST_ITEMS:,} is the most")
        found: list[str] = []
        for item in node.value:
            with self._noting():
                value = read(item, name)
                if value in found:
                    raise Wrong(item, f"{name} has '{value}' twice; keep one of them")
                found.append(value)
        return tuple(found)

    def queries(self, node: Node, name: str) -> dict[str, str]:
        """The query of each language, without those that something is wrong with."""
        if not isinstance(node, MappingNode):
            raise Wrong(node, f"{name} is {kind(node)}; write {name}: {{en: a query, zh: another}}")
        self._note_repeated(node)
        found: dict[str, str] = {}
        written: dict[str, str] = {}  # code → how the file writes it
        for key, value in node.value:
            with self._noting():
                lang = to_language(key, name)
                if lang in found and written[lang] != key.value:
                    raise Wrong(key, f"{name} has '{lang}' twice; keep one of them")
                written[lang] = key.value
                found[lang] = to_text(value, f"{name}.{lang}", most=LONGEST_QUERY)
        return found


_ReadItem = Callable[[Node, str], str]


def _named(node: MappingNode) -> str | None:
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == "slug" and isinstance(value, ScalarNode):
            return str(value.value) or None
    return None


_READERS: dict[str, Callable[[_Reader, Node, str], Any]] = {
    "slug": lambda reader, node, name: to_slug(node, name),
    "query": lambda reader, node, name: to_text(node, name, most=LONGEST_QUERY),
    "queries": lambda reader, node, name: reader.queries(node, name),
    "instruction": lambda reader, node, name: to_text(node, name, most=LONGEST_QUERY),
    "languages": lambda reader, node, name: reader.items(node, name, to_language),
    "must": lambda reader, node, name: reader.items(node, name, to_term),
    "must_not": lambda reader, node, name: reader.items(node, name, to_term),
    "candidate_limit": lambda reader, node, name: to_whole(node, name),
    "top_k": lambda reader, node, name: to_whole(node, name),
    "min_score": lambda reader, node, name: to_logit(node, name),
    "half_life_hours": lambda reader, node, name: to_hours(node, name),
    "max_per_source": lambda reader, node, name: None if tag(node) == "null" else to_whole(node, name),
    "diversity": lambda reader, node, name: to_share(node, name),
    "active": lambda reader, node, name: to_flag(node, name),
}
