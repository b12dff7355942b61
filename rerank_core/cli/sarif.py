"""Remarks on topics files as SARIF 2.1.0, the format in which code hosts and editors take findings (OASIS, 2020)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rerank_core import __version__
from rerank_core.recall.lint import RULES, Remark

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def log(found: Sequence[tuple[Path, Sequence[Remark]]]) -> dict[str, Any]:
    """The log of one run of the tool over these files, ready for JSON. A column counts characters."""
    names = list(RULES)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "rerank topics lint",
                        "version": __version__,
                        "rules": [
                            {
                                "id": name,
                                "shortDescription": {"text": rule.meaning},
                                "defaultConfiguration": {"level": rule.level},
                            }
                            for name, rule in RULES.items()
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [
                    {
                        "ruleId": remark.rule,
                        "ruleIndex": names.index(remark.rule),
                        "level": remark.level,
                        "message": {"text": _said(remark)},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": _uri(file)},
                                    "region": {
                                        "startLine": remark.place.line,
                                        "startColumn": remark.place.column,
                                    },
                                }
                            }
                        ],
                    }
                    for file, remarks in found
                    for remark in remarks
                ],
            }
        ],
    }


def _said(remark: Remark) -> str:
    return f"{remark.topic}: {remark.message}" if remark.topic else remark.message


def _uri(file: Path) -> str:
    """A file below the working folder by its relative path, as code hosts want it; another by its file URL."""
    path = file.absolute()
    here = Path.cwd()
    return quote(path.relative_to(here).as_posix()) if path.is_relative_to(here) else path.as_uri()
