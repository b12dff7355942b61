"""`rerank doctor` and `rerank settings`: what this host is and has."""

import os
from typing import Any

import typer

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor() -> None:
    """Check this host and say what to do; the exit code is 1 if a run would fail."""
    from rerank_core.cli.printing import print_table
    from rerank_core.operations.doctor.examine import examine
    from rerank_core.settings import settings as load

    findings = examine(load())
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
    from rerank_core.settings import settings as load

    current = load()
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
            (variable, _shown(value), "the same" if equal else _shown(default), meaning)
            for (variable, value, default, meaning), equal in zip(rows, same, strict=True)
        ],
        styles=["" if equal else "bold" for equal in same],
    )
    for unknown in unknown_variables(os.environ):
        say(f"{unknown}: it changes nothing", style="yellow")


def _shown(value: Any) -> str:
    from rerank_core.cli.printing import hide_password

    return "unset" if value is None else hide_password(str(value))
