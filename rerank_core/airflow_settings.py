"""The settings that only Airflow needs; RERANK_AIRFLOW_<NAME>.

They need no Airflow, so that `rerank settings` and `rerank doctor` know them too.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, ImportString, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
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
        description="JSON: each pipeline's name and the settings it has of its own; each has DAGs of its own. "
        "Empty means one pipeline, RERANK_PIPELINE.",
    )
    executor_config: dict[str, Any] | ImportString[Any] = Field(
        default_factory=dict,
        repr=False,
        description="executor_config of the scoring tasks: JSON, YAML, or the dotted name of one; its pod_override is a pod as"
        " Kubernetes writes it.",
    )
    executor: str | None = Field(
        default=None,
        description="Executor of the scoring tasks, one of Airflow's core.executor; none means Airflow's first.",
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
    notify_stale: tuple[ImportString[Any], ...] = Field(
        default=(),
        description="JSON list of dotted names: notifiers called when the page is older than the schedule makes it; none: those of"
        " notify_failed.",
    )
    mail: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses, separated by commas, that get every one of these alerts by Airflow's SMTP connection, `smtp_default`.",
    )
    deadline_minutes: PositiveFloat | None = Field(
        default=None,
        description="A dag run that has not succeeded this long after it was queued is late; none means never. "
        "Needs Airflow's triggerer.",
    )
    watch_schedule: Cron = Field(
        default="*/5 * * * *",
        description="Cron expression of the looks at the page's age, in UTC.",
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
        " folder of this user's own in /run/lock, or else in /tmp.",
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

    @field_validator("mail", mode="before")
    @classmethod
    def _split_mail(cls, value: Any) -> Any:
        addresses = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        for place, address in enumerate(addresses, start=1):
            if not re.fullmatch(r"[^@\s,<>]+@[^@\s,<>]+", str(address)):
                raise ValueError(f"address {place} is no mail address; write one@example.com,two@example.com")
        return addresses

    @field_validator("executor_config", mode="before")
    @classmethod
    def _read_executor_config(cls, value: Any) -> Any:
        """A text with a colon and a blank, or in braces, is YAML, of which JSON is a part; any other text is a dotted name."""
        if not isinstance(value, str) or not re.search(r"[{\n]|: ", value):
            return value
        try:
            return yaml.safe_load(value)
        except yaml.YAMLError as error:
            place = getattr(error, "problem_mark", None)
            line = "" if place is None else f" in line {place.line + 1}"
            raise ValueError(
                f"is neither JSON nor YAML: {getattr(error, 'problem', 'unreadable')}{line}"
            ) from None

    @field_validator("executor_config")
    @classmethod
    def _settle_executor_config(cls, value: Any) -> Any:
        """The value with its pod as KubernetesExecutor takes it, a V1Pod; what is no mapping is for another executor."""
        if not isinstance(value, Mapping):
            return value
        for name in value:
            if name != "pod_override" and get_close_matches(str(name), ["pod_override"], cutoff=0.8):
                raise ValueError(f"has the key {name!r}; perhaps pod_override is meant")
        pod = value.get("pod_override")
        return {**value, "pod_override": _pod(pod)} if pod is not None else dict(value)

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


def _pod(written: Any) -> Any:
    """The V1Pod of a mapping. Raises ValueError for a name that a pod has not, or a value of a wrong type."""
    try:
        from kubernetes import client
    except ImportError:
        raise ValueError(
            "has a pod_override, which needs the package kubernetes; install news-rerank[kubernetes]"
        ) from None
    if isinstance(written, client.V1Pod):
        return written
    if not isinstance(written, Mapping):
        raise ValueError(
            "has a pod_override that is no mapping; write it as Kubernetes writes a pod: spec, containers, …"
        )
    api = client.ApiClient(client.Configuration())
    try:
        pod = api._ApiClient__deserialize_model(
            written, client.V1Pod
        )  # as Airflow's provider does: there is no public way
        kept = api.sanitize_for_serialization(pod)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"has a pod_override that is no pod: {error}") from None
    lost = _lost(written, kept, "pod_override")
    if lost is not None:
        raise ValueError(
            f"has {lost}, which no pod has; names are written as Kubernetes writes them, such as nodeSelector"
        )
    return pod


def _lost(written: Any, kept: Any, path: str) -> str | None:
    """The first place at which a pod has not kept what was written: a name that it does not know, or a value of another type."""
    if isinstance(written, Mapping):
        if not isinstance(kept, Mapping):
            return path
        parts = [
            (f"{path}.{name}", value, kept.get(name)) for name, value in written.items() if value is not None
        ]
    elif isinstance(written, list):
        if not isinstance(kept, list) or len(kept) != len(written):
            return path
        parts = [
            (f"{path}[{place}]", *values) for place, values in enumerate(zip(written, kept, strict=True))
        ]
    else:
        return None if kept is not None else path
    return next((lost for part in parts if (lost := _lost(part[1], part[2], part[0])) is not None), None)


OTHERS = frozenset(
    {"RERANK_DEBUG", "RERANK_ASKED_BY", "RERANK_CACHE_DIR", "RERANK_DEMO_DIR", "RERANK_AIRFLOW_DATABASE_URL"}
)


def of_pipeline(name: str, pipeline: str) -> str:
    """What a DAG or an asset of a pipeline is called: `rank_new_articles`; any pipeline but `news` adds its name."""
    return name if pipeline == "news" else f"{name}_{pipeline}"


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
