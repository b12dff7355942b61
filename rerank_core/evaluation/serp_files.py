"""What people have of a search engine: queries, documents and runs, as ir_datasets, BEIR, pyserini and MS MARCO write them.

| what | forms, plain or gzipped |
|---|---|
| queries | TSV `id text`; JSON lines with `_id`, `id`, `query_id` or `qid`, and `text`, `query` or `title`, perhaps `instruction` |
| documents | TSV `id text`, `id title text` or `id url title text`; JSON lines with `_id`, `id`, `doc_id`, `docid` or `article_id`, perhaps `title`, and `text`, `contents`, `body`, `abstract` or `summary`; or SQL that gives such columns |
| candidates | a TREC run `query Q0 document rank score tag`, or `query document rank` of MS MARCO |

Files of documents are read line by line, and only the candidates' texts are kept: a corpus may be larger than the memory.
A wrong line is an error that names it: a search engine's page with a hole in it would be measured as if it were whole.
"""

import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_core.errors import InputError
from rerank_core.models.encoding import sanitise
from rerank_core.storage import database as db
from rerank_core.storage import json_lines
from rerank_core.storage.database import Database

LONGEST_LINE = 16 << 20  # bytes
MOST_CANDIDATES = 2_000_000
MAX_TEXT = 20_000  # characters of a document that are kept, as of an article
SHOWN = 80  # characters of a wrong line

_IDS = ("_id", "id", "query_id", "qid", "doc_id", "docid", "document_id", "article_id")
_TEXTS = ("text", "contents", "query", "body", "abstract", "summary")
_SQL = re.compile(r"\s*(SELECT|WITH|TABLE|VALUES)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Query:
    """A query, and the instruction that it brings; None: it brings none."""

    text: str
    instruction: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A document at its place in a search engine's list."""

    document_id: str
    score: float  # of the search engine


Candidates = Mapping[str, list[Candidate]]  # query → its list, best first


def read_queries(file: Path) -> dict[str, Query]:
    """Queries by id, in the order of the file. Raises InputError, which names the wrong line."""
    found: dict[str, Query] = {}
    for where, row in _rows(file, columns={2: ("id", "text")}):
        identity = _id(where, row)
        text = _first(row, (*_TEXTS, "title"))
        if not text:
            raise InputError(f"{where}: query {identity!r} has no text; give `text`")
        query = Query(sanitise(text), sanitise(str(row.get("instruction") or "")) or None)
        if found.setdefault(identity, query) != query:
            raise InputError(f"{where}: query {identity!r} was there before with another text; keep one")
    if not found:
        raise InputError(f"{file} holds no query; write lines like `1<tab>text`")
    return found


def read_documents(source: str, database: Database | None, wanted: Container[str] | None) -> dict[str, str]:
    """Texts by id, of a file or of SQL; only those that are `wanted`, if that is given.

    Raises InputError, which names the wrong line or says why the SQL fails.
    """
    if Path(source).is_file():
        layouts = {2: ("id", "text"), 3: ("id", "title", "text"), 4: ("id", "url", "title", "text")}
        rows: Iterable[tuple[str, dict[str, Any]]] = _rows(Path(source), columns=layouts)
        return _documents(source, rows, wanted)
    if not _SQL.match(source):
        raise InputError(
            f"documents {source[:SHOWN]!r} is no file here, and no query that gives rows with id and text"
        )
    if database is None:
        raise InputError("SQL for documents needs a database; set RERANK_DATABASE_URL or RERANK_SOURCE_URL")
    with db.selected(database, source) as selected:
        return _documents(
            "the SQL", ((f"the SQL, row {n}", dict(row)) for n, row in enumerate(selected, 1)), wanted
        )


def _documents(
    source: str, rows: Iterable[tuple[str, dict[str, Any]]], wanted: Container[str] | None
) -> dict[str, str]:
    found: dict[str, str] = {}
    for where, row in rows:
        identity = _id(where, row)
        if wanted is not None and identity not in wanted:
            continue
        parts = [_first(row, ("title",)), _first(row, _TEXTS)]
        text = sanitise("\n\n".join(part for part in parts if part))[:MAX_TEXT].rstrip()
        if found.setdefault(identity, text) != text:
            raise InputError(f"{where}: document {identity!r} was there before with another text; keep one")
    if not found:
        raise InputError(f"{source} holds none of the candidates' documents; check that the ids are the same")
    return found


def read_candidates(file: Path) -> dict[str, list[Candidate]]:
    """A search engine's lists, best first: by score, then by rank. Raises InputError, which names the wrong line."""
    lists: dict[str, list[tuple[float, int, str]]] = {}
    seen: set[tuple[str, str]] = set()
    for number, line in _lines(file):
        cells = line.split()
        if not cells:
            continue
        where = f"{file}, line {number}"
        try:
            query, document, rank, score = _cells(cells)
        except ValueError:
            raise InputError(
                f"{where}: {line[:SHOWN]!r} is not `query Q0 document rank score tag`, nor `query document rank`; correct it"
            ) from None
        if (query, document) in seen:
            raise InputError(f"{where}: query {query!r} has document {document!r} twice; keep one")
        seen.add((query, document))
        if len(seen) > MOST_CANDIDATES:
            raise InputError(f"{file} has over {MOST_CANDIDATES:,} candidates; split it by queries")
        lists.setdefault(query, []).append((-score, rank, document))
    if not lists:
        raise InputError(f"{file} holds no candidate; write lines like `1 Q0 d7 1 12.5 bm25`")
    return {
        query: [Candidate(document, -score) for score, _, document in sorted(found)]
        for query, found in lists.items()
    }


def every_pair(queries: Mapping[str, Query], documents: Mapping[str, str]) -> dict[str, list[Candidate]]:
    """Every document as a candidate of every query, in the order of the file. Raises InputError if there are too many."""
    pairs = len(queries) * len(documents)
    if pairs > MOST_CANDIDATES:
        raise InputError(
            f"{len(queries):,} queries × {len(documents):,} documents are {pairs:,} pairs; give the search engine's"
            " lists with --candidates"
        )
    return {
        query: [Candidate(document, -float(place)) for place, document in enumerate(documents)]
        for query in queries
    }


def _cells(cells: list[str]) -> tuple[str, str, int, float]:
    """Query, document, rank and score of a line. Raises ValueError if they are not such."""
    if len(cells) == 3:  # MS MARCO: the rank alone
        return cells[0], cells[1], int(cells[2]), -float(int(cells[2]))
    query, _, document, rank, score, _ = cells
    if not math.isfinite(float(score)):
        raise ValueError
    return query, document, int(rank), float(score)


def _id(where: str, row: Mapping[str, Any]) -> str:
    for name in _IDS:
        if row.get(name) is not None and row[name] != "":
            identity = str(row[name])
            if re.search(r"[\s\0\ud800-\udfff]", identity):
                raise InputError(
                    f"{where}: id {identity[:SHOWN]!r} holds a blank: no line of a TREC run could name it"
                )
            return identity
    raise InputError(f"{where}: there is no id; give `id`")


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str:
    return next((str(row[name]) for name in names if row.get(name)), "")


def _rows(file: Path, *, columns: Mapping[int, tuple[str, ...]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row is, and the row. `columns` are the names of a TSV's columns, by their number."""
    is_json: bool | None = None
    for number, line in _lines(file):
        if not line.strip():
            continue
        if is_json is None:
            is_json = line.lstrip().startswith("{")
        where = f"{file}, line {number}"
        if is_json:
            try:
                yield where, json_lines.read_object(line.encode("utf-8", "surrogatepass"))
            except ValueError as error:
                raise InputError(f"{where}: {error}") from None
        else:
            cells = line.rstrip("\r\n").split("\t")
            if len(cells) not in columns:
                forms = " or ".join("<tab>".join(names) for names in columns.values())
                raise InputError(f"{where}: {line[:SHOWN]!r} is not {forms}, nor a JSON object; correct it")
            yield where, dict(zip(columns[len(cells)], cells, strict=True))


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    with _opened(file) as stream:
        for line in json_lines.read_lines(stream, longest=LONGEST_LINE):
            if line.reason is not None:
                raise InputError(f"{file}, line {line.number}: {line.reason}")
            try:
                yield line.number, line.raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(f"{file}, line {line.number}: not UTF-8 at byte {error.start + 1}") from None


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        stream = file.open("rb")
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}; name a file that this user may read"
        ) from None
    with stream:
        yield stream
