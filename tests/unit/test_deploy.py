"""The deployment kit holds together: nothing here can start a container, so its files are compared with one another and with the code."""

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pages
import pytest
import yaml

from rerank_core.airflow_settings import unknown_variables
from rerank_core.observe.drift import SHIFT

KIT = pages.ROOT / "deploy"
COMPOSE = yaml.safe_load((KIT / "compose.yaml").read_text())
HELM = yaml.safe_load((KIT / "helm-values.yaml").read_text())
RULES = yaml.safe_load((KIT / "metrics/rules.yaml").read_text())
MAPPING = yaml.safe_load((KIT / "metrics/statsd-mapping.yaml").read_text())
DASHBOARD = json.loads((KIT / "metrics/dashboard.json").read_text())
DOCKERFILES = sorted(KIT.glob("Dockerfile*"))
LABELS = {entry["name"]: set(entry["labels"]) for entry in MAPPING["mappings"]}


def rules() -> list[dict[str, Any]]:
    """Every rule of Prometheus."""
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    """Every query of rules and dashboard, the dashboard's variables filled in."""
    drawn = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + [query.replace("$pipeline", "news") for query in drawn]


def wrong_names(query: str) -> list[str]:
    """Metrics and labels of a query that nobody sends."""
    recorded = {rule["record"]: {"pipeline"} for rule in rules() if "record" in rule}
    known = LABELS | recorded
    wrong = []
    for name, _, matchers in re.findall(r"\b([a-z_]*news_rerank[\w:]*)(\{([^}]*)\})?", query):
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        wrong += [name] if name not in known else sorted(f"{name}{{{label}}}" for label in used - known[name])
    grouped = {
        label for labels in re.findall(r"\bby \(([^)]*)\)", query) for label in re.findall(r"\w+", labels)
    }
    return wrong + sorted(grouped - {label for labels in LABELS.values() for label in labels})


@pytest.mark.parametrize("query", queries())
def test_a_query_names_metrics_and_labels_that_are_sent(query: str) -> None:
    assert "news_rerank" in query
    assert wrong_names(query) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("airflow_news_rerank_page_aeg > 1", ["airflow_news_rerank_page_aeg"]),
        ('airflow_news_rerank_page_age{outcome="full"}', ["airflow_news_rerank_page_age{outcome}"]),
        ("sum by (topic) (airflow_news_rerank_pairs_total)", ["topic"]),
        ("news_rerank:page_fresh:ratio_7d", ["news_rerank:page_fresh:ratio_7d"]),
    ],
)
def test_control_a_name_that_nobody_sends_is_found(query: str, wrong: list[str]) -> None:
    assert wrong_names(query) == wrong


@pytest.mark.parametrize("query", queries())
def test_a_query_is_promql(query: str) -> None:
    parser = pytest.importorskip("promql_parser", reason="promql-parser is not installed")
    parser.parse(query)
    with pytest.raises(ValueError, match=".+"):
        parser.parse(query + " >")


# ── Several hosts without containers; tests/dags/test_several_hosts.py gives the commands ──────────


def odd_in(steps: Sequence[str]) -> list[str]:
    """Where the settings of that deployment do not fit the servers, services and files that its other steps make."""
    servers, settings, files, fill, airflow, worker, _ = steps
    given = dict(
        word.split("=", 1) for line in settings.splitlines() for word in shlex.split(line, comments=True)[1:]
    )
    (role,) = re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD '(\w+)'", servers)
    (asked,) = re.findall(r"requirepass (\w+)\\n", servers)
    urls = {name: given[name] for name in given if re.search(r"CONN$|_URL$|BACKEND$", name)}
    metadata = given["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    options = dict(zip(words := shlex.split(worker), words[1:], strict=False))
    must = {
        "the result backend is Airflow's database": urls["AIRFLOW__CELERY__RESULT_BACKEND"]
        == f"db+{metadata}",
        "the broker's password": urls["AIRFLOW__CELERY__BROKER_URL"] == f"redis://:{asked}@main:6379/0",
        "the API server": urls["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://main:8080/execution/",
        "the executor": given["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor",
        "the queue of the GPU workers": given["RERANK_GPU_QUEUE"] == options["--queues"],
        "a slot for each shard": f"pools set gpu {given['RERANK_SHARDS']} " in fill,
        "the folder of the DAG file": f" {given['AIRFLOW_HOME']}/dags/" in files,
        "every service": all(
            f"airflow {name}" in airflow for name in ("api-server", "scheduler", "dag-processor")
        ),
        "a worker for the other tasks": "celery worker --queues default " in airflow,
    }
    for name, database in (
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow"),
        ("RERANK_DATABASE_URL", "news"),
    ):
        must[name] = urls[name] == f"postgresql+psycopg2://{role[0]}:{role[1]}@main/{database}"
        must[f"the database {database}"] = (
            f"createdb --owner {role[0]} --encoding UTF8 --template template0 {database}\n" in servers
        )
    must["who may connect"] = f"host airflow,news {role[0]} samenet" in servers
    return [what for what, holds in must.items() if not holds]


SEVERAL = [
    block.text for block in pages.blocks_below(KIT / "README.md", "## Several hosts without containers")
]


def test_the_settings_of_several_hosts_fit_what_the_commands_make() -> None:
    assert odd_in(SEVERAL) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("db+postgresql+psycopg2://", "db+postgresql://"),
        ("requirepass password", "requirepass secret"),
        ("--queues gpu", "--queues GPU"),
        ("RERANK_SHARDS=2", "RERANK_SHARDS=3"),
        ("news:password@main/news", "news:password@main/airflow"),
        ("http://main:8080/", "http://main:8080/api/"),
        ("airflow scheduler", "airflow triggerer"),
        ("/srv/airflow/dags/", "/srv/dags/"),
        ("--encoding UTF8 ", ""),
    ],
)
def test_control_what_does_not_fit_is_found(right: str, wrong: str) -> None:
    assert any(right in step for step in SEVERAL)
    assert odd_in([step.replace(right, wrong) for step in SEVERAL])


def test_each_promised_alert_exists_and_says_what_to_do() -> None:
    alerts = {rule["alert"]: rule for rule in rules() if "alert" in rule}
    listed = dict(
        re.findall(r"^\| `(NewsRerank\w+)` \| (\w+) \|", pages.read(KIT / "README.md"), re.MULTILINE)
    )
    assert {name: rule["labels"]["severity"] for name, rule in alerts.items()} == listed
    assert {"PageOld", "Degraded", "Blocked", "Drift", "Errors", "Silence"} <= {name[10:] for name in alerts}
    for rule in alerts.values():
        assert set(rule["annotations"]) == {"summary", "description"}
    assert f">= {SHIFT:g}" in alerts["NewsRerankDrift"]["expr"]


def test_the_page_speaks_of_the_recorded_objectives() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert recorded == set(re.findall(r"`(news_rerank:[\w:]+)`", pages.read(KIT / "README.md")))


def test_a_gauge_of_the_page_ends_when_its_watcher_has_died() -> None:
    """Else the exporter repeats the last age for ever, and `absent` is never true."""
    ends = {entry["name"] for entry in MAPPING["mappings"] if "ttl" in entry}
    assert ends == {"airflow_news_rerank_page_age", "airflow_news_rerank_page_degraded"}


def test_the_chart_maps_the_same_metrics() -> None:
    assert HELM["statsd"]["extraMappings"] == MAPPING["mappings"]


def test_the_dashboard_has_a_source_and_a_place_for_every_panel() -> None:
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "pipeline"}
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"]) >= 10


# ── Containers ──────────────────────────────────────────────────────────────────────────────────


def test_the_compose_file_is_one() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    found = importlib.util.find_spec("check_jsonschema")
    if found is None or found.origin is None:
        pytest.skip("check-jsonschema, which carries the schema of Compose, is not installed")
    schema = json.loads((Path(found.origin).parent / "builtin_schemas/vendor/compose-spec.json").read_text())
    judge = jsonschema.validators.validator_for(schema)(schema)
    assert list(judge.iter_errors(COMPOSE)) == []
    assert list(judge.iter_errors(COMPOSE | {"services": {"worker": {"imagee": "x"}}}))  # control


def test_every_service_and_volume_that_the_compose_file_names_is_there() -> None:
    services = COMPOSE["services"]
    assert set(services) >= {
        *("postgres", "redis", "store", "scheduler", "api-server", "dag-processor", "triggerer"),
        *("worker", "gpu-worker"),
    }
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (KIT / source).is_file(), volume
            else:
                assert source in COMPOSE["volumes"], volume
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port} is open to the network"
        for condition in service.get("depends_on", {}).items():
            needed, how = condition
            assert how["condition"] != "service_healthy" or "healthcheck" in services[needed], needed


def test_secrets_are_asked_for_and_never_written_down() -> None:
    text = (KIT / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)[:}]", text)) - {"RERANK_MODEL"}
    offered = dict(
        line.split("=", 1) for line in (KIT / "env.example").read_text().splitlines() if line[:1].isupper()
    )
    assert asked == set(offered)
    assert set(offered.values()) == {""}
    for name, service in COMPOSE["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY$", variable) and not variable.endswith("KEY_ID"):
                assert value.startswith("${"), f"{name}: {variable} is written down"


def test_both_name_only_settings_that_exist_and_the_queue_that_a_worker_serves() -> None:
    environment = COMPOSE["services"]["worker"]["environment"]
    values = {entry["name"]: entry["value"] for entry in HELM["env"]}
    for given in (environment, values):
        assert unknown_variables(given) == []
        assert given["RERANK_GPU_QUEUE"] == "gpu"
    assert unknown_variables(["RERANK_GPU_QUEUES"])  # control
    assert (
        shlex.join(COMPOSE["services"]["gpu-worker"]["command"])
        == "celery worker --queues gpu --concurrency 1"
    )
    [gpu] = HELM["workers"]["celery"]["sets"]
    assert gpu["queue"] == "gpu"
    assert "--queues gpu --concurrency 1" in gpu["args"][-1]
    assert "queue = 'gpu'" in gpu["keda"]["query"]
    assert gpu["keda"]["minReplicaCount"] == 0
    most = str(gpu["keda"]["maxReplicaCount"])
    assert (values["RERANK_SHARDS"], values["RERANK_AIRFLOW_POOL_SLOTS"]) == (most, most)
    assert float(values["RERANK_PAGE_DEADLINE_MINUTES"]) > 0  # else zero workers are not safe
    mounted = {mount["name"] for mount in gpu["extraVolumeMounts"]}
    assert mounted == {volume["name"] for volume in gpu["extraVolumes"]}


def test_result_backends_name_the_driver() -> None:
    """`db+postgresql://` means psycopg 3 beside SQLAlchemy 2.1, which is not installed."""
    assert COMPOSE["services"]["worker"]["environment"]["AIRFLOW__CELERY__RESULT_BACKEND"].startswith(
        "db+postgresql+psycopg2://"
    )


def instructions(file: Path) -> Iterator[tuple[str, str]]:
    """Each instruction of a Dockerfile and its arguments, with its continued lines."""
    text = "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, " ".join(rest.split())


def faults(file: Path) -> list[str]:
    """What a Dockerfile does that it should not."""
    wrong, user, stages = [], "root", set()
    for word, rest in instructions(file):
        if word == "FROM":
            image, _, stage = rest.partition(" AS ")
            stages.add(stage)
            user = "root" if stage else "airflow"
            if image.endswith(":latest") or (":" not in image and not image.startswith("$")):
                wrong.append(f"{image} has no version")
        elif word == "USER":
            user = rest
        elif word == "COPY" and not rest.startswith("--from"):
            wrong += [
                f"{path} is not in the repository"
                for path in rest.split()[:-1]
                if not (pages.ROOT / path).exists()
            ]
        elif word == "COPY":
            stage = rest.split()[0].removeprefix("--from=")
            wrong += [] if stage in stages else [f"there is no stage {stage}"]
        elif word == "RUN":
            if "apt-get install" in rest and not (
                "--no-install-recommends" in rest and "rm -rf /var/lib/apt/lists" in rest
            ):
                wrong.append("apt-get leaves its lists or recommended packages")
            if "pip install" in rest and "--no-cache-dir" not in rest:
                wrong.append("pip leaves its cache")
            if "pip install" in rest and user == "root":
                wrong.append("pip installs as root")
        elif word == "ADD" or (word == "ENV" and re.search("PASSWORD|SECRET|TOKEN", rest)):
            wrong.append(f"{word} {rest}")
        elif word not in {"ARG", "WORKDIR", "ENV", "VOLUME"}:
            wrong.append(f"{word} is not expected")
    return wrong + ([f"it ends as {user}"] if user != "airflow" else [])


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_a_dockerfile_is_in_order(file: Path) -> None:
    assert faults(file) == []


def test_control_a_bad_dockerfile_is_found(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text(
        "FROM python\nUSER root\nCOPY nowhere /x\nADD http://a /b\nRUN apt-get install gcc\nRUN pip install x\n"
    )
    assert len(faults(bad)) == 7


def test_the_images_hold_what_the_compose_file_runs() -> None:
    built = {service.get("build", {}).get("dockerfile") for service in COMPOSE["services"].values()} - {None}
    assert built == {f"deploy/{file.name}" for file in DOCKERFILES}
    assert {(pages.ROOT / path).is_file() for path in built} == {True}


# ── Sizes ───────────────────────────────────────────────────────────────────────────────────────


def test_every_measured_size_stands_on_the_page_that_it_is_taken_from() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([\d.,]+) \| [^|]+ \| \[[^]]+\]\(([^)#]+)[^)]*\) \|$",
        pages.read(KIT / "README.md"),
        re.MULTILINE,
    )
    assert len(rows) >= 7
    for what, figure, page in rows:
        assert re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d,]|\.\d)", (KIT / page).read_text()), what
