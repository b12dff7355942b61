"""The settings that only Airflow needs; RERANK_AIRFLOW_<NAME>.

They need no Airflow, so that `rerank settings` and `rerank doctor` know them too.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ImportString, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as NotJson

from rerank_core import setting_sources
from rerank_core.errors import SettingsError
from rerank_core.setting_values import Cron, PositiveFloat
from rerank_core.settings import Settings


class AirflowSettings(BaseSettings):
    """Settings of the DAGs. Dotted names are of objects that every worker can import."""

    model_config = SettingsConfigDict(
        env_prefix="RERANK_AIRFLOW_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    pipelines: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        repr=False,
        description="JSON: each pipeline's name and the settings it has of its own; one DAG for each. "
        "Empty means one pipeline, RERANK_PIPELINE.",
    )
    executor_config: dict[str, Any] | ImportString[Any] = Field(
        default_factory=dict,
        repr=False,
        description="executor_config of the scoring tasks: JSON, or the dotted name of one.",
    )
    notify_failed: tuple[ImportString[Any], ...] = Field(
        default=(), description="JSON list of dotted names: notifiers called when a task has failed for good."
    )
    notify_degraded: tuple[ImportString[Any], ...] = Field(
        default=(),
        description="JSON list of dotted names: notifiers called when a degraded page is published.",
    )
    notify_late: tuple[ImportString[Any], ...] = Field(
        default=(),
        description="JSON list of dotted names: notifiers called when a dag run has missed its deadline.",
    )
    notify_silent: tuple[ImportString[Any], ...] = Field(
        default=(),
        description="JSON list of dotted names: notifiers called when a source, a language or all news have fallen silent.",
    )
    deadline_minutes: PositiveFloat | None = Field(
        default=None,
        description="A dag run that has not succeeded this long after it was queued is late; none means never. "
        "Needs Airflow's triggerer.",
    )
    watch_schedule: Cron = Field(
        default="*/5 * * * *",
        description="Cron expression of the metrics on the page's age, in UTC; nothing runs while Airflow's metrics are off.",
    )
    start_on_arrival: bool = Field(
        default=False,
        description="Also start a run when articles have come, beside the schedule. Needs Airflow's triggerer.",
    )
    quiet_seconds: PositiveFloat = Field(
        default=15.0,
        description="Such a run starts once no further article has come for so long.",
    )
    arrival_minutes: PositiveFloat = Field(
        default=5.0,
        description="While articles keep coming, such a run starts this long after the first of them at the latest.",
    )
    lock_folder: Path | None = Field(
        default=None,
        description="Folder of the lock files by which scoring tasks of several users of one host take turns at a device; none: a"
        " folder of this user's own in the host's temp folder.",
    )
    pool_slots: int = Field(
        default=1, gt=0, description="Slots of the scoring pool when the scheduler has to create it."
    )
    active_runs: int = Field(
        default=24,
        gt=0,
        description="Dag runs that may be under way at once: while scoring waits for a device, later ones still publish.",
    )
    max_retry_minutes: float = Field(
        default=10.0, gt=0, description="Longest pause between two tries; the pause doubles each time."
    )
    stage_minutes: float = Field(
        default=30.0,
        gt=0,
        description="A try of any other task is ended after this long, and tried again; a stage goes on from what it has committed.",
    )
    scoring_grace_minutes: float = Field(
        default=15.0,
        gt=0,
        description="A scoring task is ended this long after twice scoring_minutes: once for the wait for a "
        "device, once for scoring.",
    )

    @field_validator("pipelines")
    @classmethod
    def _settle_pipelines(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, overrides in value.items():
            unknown = sorted(set(overrides) - (set(Settings.model_fields) - {"pipeline"}))
            if unknown:
                raise ValueError(f"pipeline {name!r} has no setting {unknown[0]!r}")
        return value

    @classmethod
    def load(cls) -> Self:
        """Read the environment, and the files that it names. Raises SettingsError naming the variable."""
        from_files = setting_sources.airflow_secrets()
        try:
            return cls(**from_files)
        except ValidationError as error:
            raise SettingsError(
                f"{setting_sources.wrong(cls, error, {name: f'RERANK_AIRFLOW_{name}_FILE'.upper() for name in from_files})}; correct it"
            ) from None
        except NotJson as error:
            name = "RERANK_AIRFLOW_" + str(error).split('"')[1].upper()
            raise SettingsError(f"{name} is not JSON; correct it") from None


OTHERS = frozenset({"RERANK_DEBUG", "RERANK_CACHE_DIR", "RERANK_DEMO_DIR", "RERANK_AIRFLOW_DATABASE_URL"})


def variables() -> list[str]:
    """The variable of every setting."""
    return [
        f"{group.model_config['env_prefix']}{name}".upper()
        for group in (Settings, AirflowSettings)
        for name in group.model_fields
    ]


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """Names in this environment that look like a setting's and are none's, each with what was perhaps meant."""
    named = (*variables(), *setting_sources.file_variables(), *OTHERS)
    known = {variable.removeprefix("RERANK_") for variable in named}
    found = []
    for variable in sorted(environment):
        name = variable.upper().removeprefix("RERANK_")
        if name != variable.upper() and name not in known:
            close = get_close_matches(name, known, n=1)
            perhaps = f" (perhaps RERANK_{close[0]} is meant)" if close else ""
            found.append(f"{variable} is no setting{perhaps}")
    return found
