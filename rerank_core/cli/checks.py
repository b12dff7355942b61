"""`rerank doctor` and `rerank settings`: what this host is and has."""

import json
import os
import re
from dataclasses import asdict
from typing import Any

import typer

from rerank_core.cli.options import AsJson

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(as_json: AsJson = False) -> None:
    """Check this host and say what to do; the exit code is 1 if a run would fail."""
    from rerank_core.cli.printing import print_json, print_table
    from rerank_core.operations.doctor.examine import examine
    from rerank_core.settings import Settings

    findings = examine(Settings.load())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("check", "", "found", "what to do"),
            [(finding.name, finding.state, finding.found, finding.advice) for finding in findings],
            styles=[STYLES[finding.state] for finding in findings],
        )
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def settings() -> None:
    """Every setting: its variable, value, default and meaning; passwords are hidden."""
    from rerank_core.airflow_settings import AirflowSettings, unknown_variables
    from rerank_core.cli.printing import print_table, say
    from rerank_core.settings import Settings

    current = Settings.load()
    rows = [
        (f"RERANK_{name.upper()}", getattr(current, name), field.default, field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    for name, field in AirflowSettings.model_fields.items():
        # As written: the object that a dotted name stands for may not be importable here.
        variable, default = f"RERANK_AIRFLOW_{name.upper()}", field.get_default(call_default_factory=True)
        default = None if default in ((), {}) else str(default)
        rows.append((variable, os.environ.get(variable) or default, default, field.description or ""))
    same = [value == default for _, value, default, _ in rows]
    print_table(
        ("variable", "value", "default", "meaning"),
        [
            (variable, _shown(variable, value), "the same" if equal else _shown(variable, default), meaning)
            for (variable, value, default, meaning), equal in zip(rows, same, strict=True)
        ],
        styles=["" if equal else "bold" for equal in same],
    )
    for unknown in unknown_variables(os.environ):
        say(f"{unknown}: it changes nothing", style="yellow")


def _shown(variable: str, value: Any) -> str:
    """A value without passwords."""
    from rerank_core.errors import HIDDEN, shown_url

    if value is None:
        return "unset"
    text = str(value)
    if variable == "RERANK_HUB_TOKEN":
        return HIDDEN
    if variable == "RERANK_AIRFLOW_PIPELINES":
        return _without_secrets(text)
    if variable == "RERANK_AIRFLOW_EXECUTOR_CONFIG" and not re.fullmatch(r"[\w.:]*", text):
        return HIDDEN  # JSON, which may set passwords in a container's environment
    return shown_url(text)


def _without_secrets(text: str) -> str:
    """The settings of each pipeline; in place of one that may hold a password, that it is set."""
    from rerank_core.errors import HIDDEN
    from rerank_core.settings import Settings

    plain = {name for name, field in Settings.model_fields.items() if field.repr}
    try:
        return json.dumps(
            {
                pipeline: {name: value if name in plain else HIDDEN for name, value in own.items()}
                for pipeline, own in json.loads(text).items()
            },
            ensure_ascii=False,
        )
    except (ValueError, AttributeError):
        return HIDDEN
