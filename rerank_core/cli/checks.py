"""What this host is and has: doctor, settings."""

from typing import Any

import typer

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor() -> None:
    """Check this host and say what to do; the exit code is 1 where a run would fail."""
    from rerank_core.cli.printing import print_table
    from rerank_core.doctor import examine
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
    from rerank_core.cli.printing import print_table
    from rerank_core.settings import Settings
    from rerank_core.settings import settings as load

    current = load()
    print_table(
        ("variable", "value", "default", "meaning"),
        [
            (
                f"RERANK_{name.upper()}",
                _shown(getattr(current, name)),
                "the same" if getattr(current, name) == field.default else _shown(field.default),
                field.description or "",
            )
            for name, field in Settings.model_fields.items()
        ],
        styles=[
            "" if getattr(current, name) == field.default else "bold"
            for name, field in Settings.model_fields.items()
        ],
    )


def _shown(value: Any) -> str:
    from rerank_core.cli.printing import hide_password

    return "none" if value is None else hide_password(str(value))
