"""The SQL: every statement says why it exists, is used, and leaves nothing in its session.

Behind a pooler in transaction mode the next transaction, of whomever, gets the same session.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rerank_core.storage.database import statement_texts

REPOSITORY = Path(__file__).parents[3]
PACKAGES = ("rerank_core", "plugins", "dags")
STATEMENTS = statement_texts()
STAYS = (
    r"\bpg_(?:try_)?advisory_lock",  # of the session; pg_advisory_xact_lock is of the transaction
    r"set_config\([^)]*\bfalse\)",
    r"(?:^|;)\s*SET\s+(?!LOCAL\b|TRANSACTION\b)",
    r"\bCREATE TEMP(?:ORARY)? TABLE\b(?![^;]*\bON COMMIT DROP\b)",
    r"(?:^|;)\s*(?:PREPARE|LISTEN|DISCARD|DECLARE)\s",
    r"\bWITH HOLD\b",
)


def stays(sql: str) -> list[str]:
    """Which parts of SQL outlive their transaction."""
    bare = re.sub(r"--[^\n]*", "", sql)
    return [pattern for pattern in STAYS if re.search(pattern, bare)]


def strings() -> Iterator[tuple[str, str]]:
    """Every string in the code, an f-string without its values; and the file that it is in."""
    for package in PACKAGES:
        for file in (REPOSITORY / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                name = file.relative_to(REPOSITORY).as_posix()
                if isinstance(node, ast.JoinedStr):
                    parts = (part for part in node.values if isinstance(part, ast.Constant))
                    yield name, "…".join(str(part.value) for part in parts)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield name, node.value


def texts() -> Iterator[str]:
    """Every string in the code."""
    yield from (string for _, string in strings())


# SQL in Python, and why it is there.
IN_PYTHON = {
    "rerank_core/demo/postgres.py": "makes and drops the databases of the embedded server, before there is a schema",
    "rerank_core/storage/migrations.py": "COMMENT ON takes no bound values, so its text is quoted by the driver",
    "rerank_core/storage/copy.py": "COPY names a table and columns that are given, and its text is made for them",
    "rerank_core/storage/database.py": "a label of a message, and no statement",
    "rerank_core/operations/doctor/vectors.py": "advice: a superuser runs it",
    "rerank_core/operations/doctor/examine.py": "advice: the owner grants it",
    "rerank_core/operations/doctor/media.py": "likewise",
    "dags/example_consumer.py": "a consumer's own SQL, as an example",
    "dags/example_webhook.py": "likewise",
}
IS_SQL = re.compile(
    r"\s*(?:(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|DROP|ALTER|ANALYZE|TRUNCATE|SET|COMMENT ON|LOCK|COPY"
    r"|GRANT|REVOKE|VACUUM|NOTIFY|LISTEN)\s|WITH \w+ AS)"
)


def test_no_sql_is_written_in_python_without_a_reason() -> None:
    found = {file for file, string in strings() if IS_SQL.match(string)}
    assert found == set(IN_PYTHON)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "  WITH a AS (SELECT 1) SELECT 2",
        "CREATE TEMP TABLE a (b int)",
        "ANALYZE …",
        "DELETE FROM rerank.run",
        "SELECT article_id FROM x",
    ],
)
def test_control_sql_in_python_is_found(sql: str) -> None:
    assert IS_SQL.match(sql)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_says_why_it_exists_and_leaves_nothing_in_its_session(name: str) -> None:
    assert re.match(r"-- \S", STATEMENTS[name])
    assert stays(STATEMENTS[name]) == []


def test_sql_in_the_code_leaves_nothing_in_its_session() -> None:
    assert any("ON COMMIT DROP" in sql for sql in STATEMENTS.values())
    assert [text for text in texts() if stays(text)] == []


def test_every_statement_is_used() -> None:
    named = set(texts())
    assert STATEMENTS
    assert [name for name in STATEMENTS if name not in named] == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_advisory_lock(1)",
        "SELECT 1; SET lock_timeout = '1s'",
        "SELECT set_config('lock_timeout', '1s', false)",
        "CREATE TEMP TABLE kept (a int)",
        "PREPARE mine AS SELECT 1",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    ],
)
def test_control_what_stays_is_found(sql: str) -> None:
    assert stays(sql)
