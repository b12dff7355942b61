"""Relevance judgements (qrels): grades of articles for topics, from a TREC file or a table.

A grade of 1 or more is relevant. Two judgements of one pair with different grades are an error, never a choice.
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sqlalchemy import Connection

from rerank_core.errors import InputError
from rerank_core.storage import database as db
from rerank_core.storage.bounded import read_bounded

RELEVANT = 1  # least grade that counts as relevant
LARGEST = 32 << 20  # bytes of a file: a million judgements

Judgements = Mapping[str, Mapping[str, int]]  # topic → article → grade

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*")
_COLUMNS = ("topic", "article_id", "relevance")


def read(source: str, connection: Connection) -> Judgements:
    """The judgements of a file, or of a table `schema.table`. Raises InputError if it is neither, or damaged."""
    if Path(source).is_file():
        return read_file(Path(source))
    if _TABLE.fullmatch(source):
        return read_table(source, connection)
    raise InputError(f"qrels {source!r} is neither a file here nor a table such as public.qrels")


def read_file(file: Path) -> Judgements:
    """TREC qrels, plain or gzipped: topic, an unused column, article and grade on each line.

    Tabs separate the columns if a line has tabs, else spaces do. The unused column may be missing. A first line that
    names the columns is skipped. Raises InputError, which names the wrong line.
    """
    content = io.BytesIO(read_bounded(file, most=LARGEST, what=f"qrels {file}"))
    try:
        return _gather(str(file), _read_lines(file, io.TextIOWrapper(content, encoding="utf-8-sig")))
    except UnicodeDecodeError as error:
        raise InputError(f"qrels {file} cannot be read: {error}") from error


def _read_lines(file: Path, lines: Iterable[str]) -> Iterator[tuple[str, str, str, int]]:
    """(line, topic, article, grade) of each judgement. A file of short lines would take many times its size as a list."""
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in (line.strip("\r\n").split("\t") if "\t" in line else line.split())]
        if not any(cells) or (number == 1 and cells[-1:] == ["relevance"]):
            continue
        if len(cells) not in (3, 4) or not re.fullmatch(r"[+-]?\d{1,6}", cells[-1]) or not all(cells):
            raise InputError(
                f"qrels {file}, line {number}: {line[:80]!r} is not `topic 0 article grade`; correct it"
            )
        yield f"line {number}", cells[0], cells[-2], int(cells[-1])


def read_table(table: str, connection: Connection) -> Judgements:
    """The judgements of a table with the columns topic, article_id and relevance.

    Raises InputError if a column is missing, or a value is null or not a whole number.
    """
    columns = {row["name"] for row in db.rows(connection, "judgements.columns", relation=table)}
    missing = [name for name in _COLUMNS if name not in columns]
    if not columns:
        raise InputError(f"qrels {table!r} is neither a file here nor a table of the database")
    if missing:
        raise InputError(f"qrels table {table} lacks {', '.join(missing)}; it needs {', '.join(_COLUMNS)}")
    found = []
    for row in db.rows(connection, "judgements.rows", (("table", table),)):
        if any(row[name] is None for name in _COLUMNS) or row["relevance"] != int(row["relevance"]):
            raise InputError(
                f"qrels table {table}: topic {row['topic']!r}, article {row['article_id']!r}: relevance"
                f" {row['relevance']} is no whole number, or a column is null"
            )
        found.append(
            (f"article {row['article_id']!r}", row["topic"], row["article_id"], int(row["relevance"]))
        )
    return _gather(table, found)


def _gather(source: str, found: Iterable[tuple[str, str, str, int]]) -> Judgements:
    judgements: dict[str, dict[str, int]] = {}
    for where, topic, article, grade in found:
        known = judgements.setdefault(topic, {}).setdefault(article, grade)
        if known != grade:
            raise InputError(
                f"qrels {source}, {where}: topic {topic!r} × article {article!r} has grade {grade}, and grade"
                f" {known} before; keep one"
            )
    if not judgements:
        raise InputError(f"qrels {source} holds no judgement; write lines like `topic 0 article 1`")
    return judgements
