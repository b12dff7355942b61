"""The README says what is so."""

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from rerank_airflow.settings import AirflowSettings
from rerank_core.settings import DEMO_CHECKPOINT, Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def settings_table(*groups: type[BaseSettings]) -> str:
    """The table of settings as README has it."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for group in groups:
        for name, field in group.model_fields.items():
            default = field.get_default(call_default_factory=True)
            shown = {str(DEMO_CHECKPOINT): "demonstration checkpoint", "None": "none"}.get(
                str(default), str(default)
            )
            if default in ({}, ()):
                shown = "none"
            variable = f"{group.model_config['env_prefix']}{name}".upper()
            rows.append(f"| `{variable}` | `{shown}` | {field.description} |")
    return "\n".join(rows)


def test_the_readme_lists_every_setting_with_its_default_and_meaning() -> None:
    assert settings_table(Settings, AirflowSettings) in README


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))))
def test_every_make_target_that_the_readme_names_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
