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


def texts() -> Iterator[str]:
    """Every string in the code, an f-string without its values."""
    for package in PACKAGES:
        for file in (REPOSITORY / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (part for part in node.values if isinstance(part, ast.Constant))
                    yield "…".join(str(part.value) for part in parts)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def whole(sql: str) -> bool:
    """Not a part of an f-string that goes on, which `texts` also gives by itself."""
    return not sql.startswith("CREATE TEMP TABLE ") or ")" in sql


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_says_why_it_exists_and_leaves_nothing_in_its_session(name: str) -> None:
    assert re.match(r"-- \S", STATEMENTS[name])
    assert stays(STATEMENTS[name]) == []


def test_sql_in_the_code_leaves_nothing_in_its_session() -> None:
    found = [text for text in texts() if whole(text)]
    assert any("ON COMMIT DROP" in text for text in found)
    assert [text for text in found if stays(text)] == []


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
