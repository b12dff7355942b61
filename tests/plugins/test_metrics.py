"""What is sent to Airflow's metrics, to real listeners of both kinds; that it can do no harm; that the plugin's page lists it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import airflow_home
import pytest
import yaml
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from factories import FakeEngines, Newsroom
from listeners import OtlpListener, StatsdListener, wait_until

from rerank_airflow.operators import announce
from rerank_airflow.operators.watch import WatchOperator
from rerank_airflow.signals import metrics
from rerank_airflow.signals.metrics import METRICS, count_error, send, send_observed
from rerank_core.errors import StoreUnavailable
from rerank_core.settings import Settings

OBSERVED = {
    "scored": 5,
    "latency_ms_p50": 12.5,
    "latency_ms_p99": 40.0,
    "pairs_per_second": None,
    "degraded": False,
    "pairs_scored": 5,
    "pairs_from_ledger": 7,
    "pairs_refused": 0,
    "pairs_missing": 0,
    "pairs_left_out": 1,
}


def start(monkeypatch: pytest.MonkeyPatch, **options: object) -> None:
    """Initialise the metrics of this process with these options of Airflow, as its task runner does."""
    for name, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__{name.upper()}", str(value))
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)


@pytest.fixture(autouse=True)
def _off_again() -> Iterator[None]:
    yield
    from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger

    stats.initialize(factory=NoStatsLogger, export_legacy_names=True)


@pytest.fixture
def statsd() -> Iterator[StatsdListener]:
    listener = StatsdListener()
    yield listener
    listener.close()


@pytest.fixture
def otlp() -> Iterator[OtlpListener]:
    listener = OtlpListener()
    yield listener
    listener.close()


def test_plain_statsd_has_pipeline_and_tags_in_the_names(
    monkeypatch: pytest.MonkeyPatch, statsd: StatsdListener
) -> None:
    start(monkeypatch, statsd_on=True, statsd_host="127.0.0.1", statsd_port=statsd.port)
    send_observed("news", OBSERVED)
    wait_until(lambda: len(statsd.lines) >= 8)
    assert statsd.of("airflow.news_rerank.") == {
        "airflow.news_rerank.news.runs.full": ("1", "c"),
        "airflow.news_rerank.news.pairs.scored": ("5", "c"),
        "airflow.news_rerank.news.pairs.from_ledger": ("7", "c"),
        "airflow.news_rerank.news.pairs.refused": ("0", "c"),
        "airflow.news_rerank.news.pairs.missing": ("0", "c"),
        "airflow.news_rerank.news.pairs.left_out": ("1", "c"),
        "airflow.news_rerank.news.latency_p50": ("12.5", "g"),
        "airflow.news_rerank.news.latency_p99": ("40.0", "g"),
    }


def test_statsd_with_tags_has_one_name_for_every_pipeline(
    monkeypatch: pytest.MonkeyPatch, statsd: StatsdListener
) -> None:
    start(
        monkeypatch,
        statsd_on=True,
        statsd_host="127.0.0.1",
        statsd_port=statsd.port,
        statsd_influxdb_enabled=True,
    )
    send("runs", 1, pipeline="shadow", outcome="degraded")
    wait_until(lambda: statsd.lines)
    assert statsd.lines == [("airflow.news_rerank.runs,pipeline=shadow,outcome=degraded", "1", "c")]


OTEL_PROCESS = """
import json, sys
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
from rerank_airflow.signals.metrics import send_observed
send_observed("news", json.loads(sys.argv[1]))
"""


def test_opentelemetry_gets_counters_and_gauges_with_tags_when_the_process_ends(otlp: OtlpListener) -> None:
    # A process of its own: whatever OpenTelemetry starts here would outlive the listener.
    subprocess.run(
        [sys.executable, "-c", OTEL_PROCESS, json.dumps(OBSERVED | {"drift_psi": 0.31})],
        env=os.environ
        | {
            "PYTHONPATH": str(airflow_home.REPOSITORY / "plugins"),
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp.port}",
        },
        check=True,
        capture_output=True,
    )
    found = otlp.of("airflow.news_rerank.")
    assert found["airflow.news_rerank.runs", "outcome=full pipeline=news"] == (1, "sum")
    assert found["airflow.news_rerank.pairs", "outcome=from_ledger pipeline=news"] == (7, "sum")
    assert found["airflow.news_rerank.latency_p99", "pipeline=news"] == (40, "gauge")
    assert found["airflow.news_rerank.drift_psi", "pipeline=news"] == (0.31, "gauge")
    assert not any("pairs_per_second" in name for name, _ in found)


def test_control_while_metrics_are_off_nothing_arrives(
    monkeypatch: pytest.MonkeyPatch, statsd: StatsdListener
) -> None:
    start(monkeypatch, statsd_host="127.0.0.1", statsd_port=statsd.port)
    send_observed("news", OBSERVED)
    start(monkeypatch, statsd_on=True)
    send("page_age", 1, pipeline="marker")
    wait_until(lambda: statsd.lines)
    assert [name for name, _, _ in statsd.lines] == ["airflow.news_rerank.marker.page_age"]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, dict[str, str]]]:
    """What was sent as (name, value, tags)."""
    found: list[tuple[str, float, dict[str, str]]] = []

    def note(name: str, value: float, *, tags: dict[str, str]) -> None:
        found.append((name, value, tags))

    monkeypatch.setattr(metrics, "stats", SimpleNamespace(incr=note, gauge=note))
    return found


def test_absent_is_not_zero(sent: list[Any]) -> None:
    send_observed("news", {"latency_ms_p50": None, "drift_psi": float("nan"), "degraded": None})
    assert sent == []
    send_observed("news", {"drift_psi": 0.0})
    assert sent == [("news_rerank.drift_psi", 0.0, {"pipeline": "news"})]


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ({"degraded": False}, "full"),
        ({"degraded": True}, "degraded"),
        ({"degraded": True, "blocked": True}, "blocked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_counts_once_by_what_became_of_its_page(
    sent: list[Any], found: dict[str, bool], outcome: str
) -> None:
    send_observed("news", found)
    assert sent == [("news_rerank.runs", 1, {"pipeline": "news", "outcome": outcome})]


def test_an_error_is_counted_by_task_and_class(sent: list[Any]) -> None:
    task = SimpleNamespace(task_id="recall")
    count_error({"task": task, "exception": StoreUnavailable("gone")}, pipeline="news")
    tags = {"pipeline": "news", "task": "recall", "error": "StoreUnavailable"}
    assert sent == [("news_rerank.errors", 1, tags)]


def test_a_task_whose_worker_was_lost_is_counted_where_airflow_has_started_no_metrics(
    monkeypatch: pytest.MonkeyPatch, statsd: StatsdListener
) -> None:
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(statsd.port))
    context = {"task": SimpleNamespace(task_id="rerank"), "exception": "no heartbeat"}
    count_error(context, pipeline="news")
    wait_until(lambda: statsd.lines)
    assert statsd.lines == [("airflow.news_rerank.news.errors.rerank.lost", "1", "c")]


def test_what_goes_wrong_in_sending_fails_no_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(metrics, "stats", SimpleNamespace(incr=broken, gauge=broken))
    send_observed("news", OBSERVED)
    assert "metric runs was not sent" in caplog.text


def test_every_metric_is_on_the_plugins_page_with_kind_unit_and_meaning() -> None:
    page = (airflow_home.REPOSITORY / "plugins" / "README.md").read_text(encoding="utf-8")
    rows = ["| `airflow.news_rerank.…` | kind | unit | further tags | meaning |", "|---|---|---|---|---|"]
    for one in METRICS.values():
        tags = ", ".join(f"`{tag}`" for tag in one.tags)
        rows.append(f"| `{one.name}` | {one.kind} | {one.unit} | {tags} | {one.meaning} |")
    assert "\n".join(rows) in page


def test_watching_tells_the_age_of_the_page_that_readers_see(
    database_url: str, store_url: str, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    engines = FakeEngines()
    engines.install(monkeypatch)
    room = Newsroom(Settings.load(database_url=database_url, store_url=store_url), engines)
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)
    told: list[str] = []
    monkeypatch.setattr(announce, "start_dag_run", lambda dag_id, dag_run_id, conf: told.append(dag_run_id))
    watch = WatchOperator(task_id="watch", pipeline="news")
    with pytest.raises(AirflowSkipException, match="no page yet"):
        watch.execute({})
    assert sent == []
    room.follow("solar")
    room.add("solar 1")
    room.run()
    room.sql("UPDATE rerank.publication SET as_of = now() - interval '2 hours'")
    found = watch.execute({})
    assert told == [f"publication_{number}" for number in found["announced"]] != []
    assert found["page_age_seconds"] == pytest.approx(7200, abs=60)
    assert [name for name, _, _ in sent] == ["news_rerank.page_age", "news_rerank.page_degraded"]
    assert [value for _, value, _ in sent] == [found["page_age_seconds"], 0]


def test_the_deployment_kit_maps_every_name_that_is_sent(
    monkeypatch: pytest.MonkeyPatch, statsd: StatsdListener
) -> None:
    """As prom/statsd-exporter reads deploy/metrics/statsd-mapping.yaml: a star is one part of a name."""
    start(monkeypatch, statsd_on=True, statsd_host="127.0.0.1", statsd_port=statsd.port)
    for metric in METRICS.values():
        send(metric.name, 1, pipeline="news", **{tag: f"some_{tag}" for tag in metric.tags})
    wait_until(lambda: len(statsd.lines) >= len(METRICS))
    file = airflow_home.REPOSITORY / "deploy/metrics/statsd-mapping.yaml"
    mappings = {
        re.compile(re.escape(entry["match"]).replace(r"\*", "([^.]*)")): entry
        for entry in yaml.safe_load(file.read_text())["mappings"]
    }
    read = {}
    for name, _, kind in statsd.lines:
        ((found, entry),) = [
            (match, entry) for pattern, entry in mappings.items() if (match := pattern.fullmatch(name))
        ]
        labels = {label: found[int(place[1:])] for label, place in entry["labels"].items()}
        read[entry["name"]] = (labels, kind)
    assert read == {
        f"airflow_news_rerank_{metric.name}{'_total' if metric.kind == 'counter' else ''}": (
            {"pipeline": "news", **{tag: f"some_{tag}" for tag in metric.tags}},
            metric.kind[0],
        )
        for metric in METRICS.values()
    }
    assert len(mappings) == len(METRICS)
