"""rerank_core/SETTINGS.md from the settings themselves: `make settings` writes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic_settings import BaseSettings

from rerank_core.airflow_settings import AirflowSettings
from rerank_core.settings import DEMO_CHECKPOINT, Settings

PAGE = Path(__file__).resolve().parents[1] / "rerank_core" / "SETTINGS.md"

HEAD = """# Settings

<!-- Made by `make settings` from rerank_core/settings.py and rerank_core/airflow_settings.py. Do not edit it here. -->

Every setting is an environment variable. `rerank settings` prints the values in force and hides passwords.
It also names each variable `RERANK_…` that is no setting, so that a misspelt name shows.

This page is for looking a setting up. Set them on every machine of Airflow: scheduler, API server and workers. `none` as a default means that nothing is
set: leave the variable out.
A setting that may hold a password can come from a file or a connection of Airflow instead: see
[Keep passwords in Airflow](../plugins/README.md#keep-passwords-in-airflow).
A pipeline can have values of its own: see `RERANK_AIRFLOW_PIPELINES`.

```sh
export RERANK_AIRFLOW_PIPELINES='{"news": {}, "shadow": {"model": "Qwen/Qwen3-Reranker-4B"}}'
```
"""

TAIL = """
## Of the process

These variables belong to one process and are no settings of a pipeline.

| variable | default | meaning |
|---|---|---|
| `RERANK_DEBUG` | `none` | `1` shows the traceback of an error instead of one sentence. |
| `RERANK_ASKED_BY` | `none` | Who asks for what a command does, kept as `on_behalf_of`; `rerank --as NAME` says so for one command. |
| `RERANK_CACHE_DIR` | `~/.cache/news-rerank` | Folder that keeps digests of weights, so that a start need not read them again. |
| `RERANK_DEMO_DIR` | `.demo` | Folder of `make demo` and `make ui`. |
"""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Where things are": ("database_url", "database_conn_id", "store_url", "store_conn_id", "pipeline"),
    "Source": (
        "source_url",
        "source_conn_id",
        "source_view",
        "source_deletes",
        "deletes_stop_share",
        "deletes_stop_articles",
        "lookback_days",
        "silence_days",
        "quiet_sources",
    ),
    "Prepare": (
        "prepare_without",
        "boilerplate_rules",
        "prepare_workers",
        "prepare_seconds",
        "prepare_mib",
        "syndication_similarity",
        "syndication_hours",
        "preferred_sources",
    ),
    "Pictures and clips": ("media", "media_view", "media_prefix", "media_per_article", "media_mib"),
    "Recall": ("recall", "fill_factor", "embedding_model", "milvus_url", "milvus_conn_id"),
    "Model": (
        "model",
        "hub_token",
        "hub_conn_id",
        "precision",
        "max_document_tokens",
        "passages",
        "picture_tokens",
        "clip_tokens",
        "compile",
        "kv_cache_gib",
        "gpu_memory_utilization",
    ),
    "Scoring": (
        "max_pairs",
        "scoring_minutes",
        "shards",
        "flush_seconds",
        "light_order",
        "light_model",
        "light_seconds",
    ),
    "Page": ("freshness_hours", "min_score", "page_deadline_minutes", "gate_empty_share"),
    "Feeds": ("feeds", "feeds_address"),
    "Copy in Redis": ("redis_url", "redis_conn_id", "redis_ttl_hours", "redis_timeout_seconds"),
    "Schedule and tasks": ("schedule", "retries", "retry_seconds", "gpu_pool", "gpu_queue"),
    "Learning": (
        "feedback_view",
        "feedback_url",
        "learning_folder",
        "learning_minutes",
        "learning_qrels",
        "learning_schedule",
    ),
    "Clean-up": (
        "maintain_schedule",
        "store_grace_hours",
        "retention_days",
        "text_retention_days",
        "ledger_retention_months",
    ),
}


def page() -> str:
    """SETTINGS.md. Raises ValueError if a setting is in no group, in two, or does not exist."""
    names = [name for group in GROUPS.values() for name in group]
    if sorted(names) != sorted(Settings.model_fields):
        odd = sorted(set(names) ^ set(Settings.model_fields)) or "one that is named twice"
        raise ValueError(f"GROUPS of settings_page.py must name each setting once; look at {odd}")
    parts = [HEAD]
    parts += [f"\n## {title}\n\n{_table(Settings, group)}\n" for title, group in GROUPS.items()]
    parts.append(f"\n## Airflow\n\n{_table(AirflowSettings, tuple(AirflowSettings.model_fields))}\n")
    return "".join([*parts, TAIL])


def _table(settings: type[BaseSettings], names: tuple[str, ...]) -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name in names:
        field = settings.model_fields[name]
        default = field.get_default(call_default_factory=True)
        written = json.dumps(default) if isinstance(default, tuple | bool) else str(default)
        shown = "none" if default in ({}, (), None) else written
        if shown == str(DEMO_CHECKPOINT):
            shown = "demonstration checkpoint"
        variable = f"{settings.model_config['env_prefix']}{name}".upper()
        rows.append(f"| `{variable}` | `{shown}` | {field.description}{_values(field.annotation)} |")
    return "\n".join(rows)


def _values(annotation: object) -> str:
    """The values of a setting that takes one of a few."""
    if get_origin(annotation) is not Literal:
        return ""
    return f" One of {', '.join(f'`{value}`' for value in get_args(annotation))}."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
