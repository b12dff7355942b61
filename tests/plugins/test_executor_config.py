"""A pod that is written as Kubernetes writes it reaches Airflow's executor, and a wrong one is told before any task runs."""

import json

import pytest
import yaml

from rerank_airflow import placement
from rerank_core.airflow_settings import AirflowSettings
from rerank_core.demo.airflow import REPOSITORY
from rerank_core.errors import SettingsError
from rerank_core.operations.doctor.host import check_executor, check_variables
from rerank_core.settings import Settings

NAME = "RERANK_AIRFLOW_EXECUTOR_CONFIG"
POD = {
    "metadata": {"labels": {"work": "scoring"}},
    "spec": {
        "nodeSelector": {"gpu": "h200"},
        "terminationGracePeriodSeconds": 60,
        "containers": [
            {
                "name": "base",
                "resources": {"limits": {"nvidia.com/gpu": 1}},
                "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
            }
        ],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}],
    },
}


class TestPods:
    @pytest.fixture(autouse=True)
    def _kubernetes(self):
        pytest.importorskip("kubernetes", reason="the package kubernetes is not installed here")

    @pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
    def test_a_pod_is_what_the_executor_takes_after_the_dag_was_stored_and_read_again(
        self, monkeypatch, write
    ):
        generator = pytest.importorskip(
            "airflow.providers.cncf.kubernetes.pod_generator",
            reason="Airflow's Kubernetes provider is not installed here",
        ).PodGenerator
        from airflow.serialization.serialized_objects import BaseSerialization

        monkeypatch.setenv(NAME, write({"pod_override": POD}))
        stored = json.dumps(BaseSerialization.serialize(placement.scoring_args("news")["executor_config"]))
        pod = generator.from_obj(BaseSerialization.deserialize(json.loads(stored)))
        expected = json.loads(json.dumps(POD))
        expected["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = "1"

        assert generator.serialize_pod(pod) == expected

    def test_control_the_same_mapping_as_it_was_written_is_no_pod_for_the_executor(self):
        generator = pytest.importorskip("airflow.providers.cncf.kubernetes.pod_generator").PodGenerator
        with pytest.raises(TypeError):
            generator.from_obj({"pod_override": POD})

    @pytest.mark.parametrize(
        ("spec", "said"),
        [
            ({"node_selector": {"a": "b"}}, r"pod_override\.spec\.node_selector, which no pod has"),
            (
                {"containers": [{"name": "base", "resorces": {}}]},
                r"pod_override\.spec\.containers\[0\]\.resorces",
            ),
            ({"containers": [{"image": "x"}]}, "`name`, must not be `None`"),
            ({"terminationGracePeriodSeconds": "soon"}, "no pod"),
            ([1], "no pod"),
        ],
    )
    def test_a_pod_that_is_none_is_told_by_settings_and_doctor(self, monkeypatch, spec, said):
        if isinstance(spec, dict):
            spec = {"containers": [{"name": "base"}], **spec}
        monkeypatch.setenv(NAME, json.dumps({"pod_override": {"spec": spec}}))
        with pytest.raises(SettingsError, match=f"{NAME} = .*{said}"):
            AirflowSettings.load()
        found = check_variables(Settings.load())
        assert (found.state, NAME in found.found) == ("warn", True)

    def test_no_value_of_a_pod_is_shown(self, monkeypatch):
        pod = {"spec": {"containers": [{"name": "base", "env": [{"nome": "KEY", "value": "s3cret"}]}]}}
        monkeypatch.setenv(NAME, json.dumps({"pod_override": pod}))
        with pytest.raises(SettingsError) as raised:
            AirflowSettings.load()
        assert "s3cret" not in str(raised.value)


def test_a_pod_without_the_package_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kubernetes", None)
    monkeypatch.setenv(NAME, json.dumps({"pod_override": POD}))
    with pytest.raises(SettingsError, match=r"install news-rerank\[kubernetes\]"):
        AirflowSettings.load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"pod_override": ', "neither JSON nor YAML"),
        ("podOverride: {spec: {}}", "perhaps pod_override is meant"),
        ("pod_override: [1]", "pod_override"),
    ],
)
def test_a_text_that_is_no_config_is_told(monkeypatch, text, said):
    monkeypatch.setenv(NAME, text)
    with pytest.raises(SettingsError, match=f"{NAME} = .*{said}"):
        AirflowSettings.load()


def test_what_another_executor_takes_is_left_as_it_is(monkeypatch):
    monkeypatch.setenv(NAME, '{"overrides": {"cpu": 4}}')
    assert AirflowSettings.load().executor_config == {"overrides": {"cpu": 4}}


def test_scoring_alone_goes_to_another_executor(monkeypatch):
    assert "executor" not in placement.scoring_args("news")
    monkeypatch.setenv("RERANK_AIRFLOW_EXECUTOR", "KubernetesExecutor")
    assert placement.scoring_args("news")["executor"] == "KubernetesExecutor"


@pytest.mark.parametrize(
    ("configured", "state"),
    [
        ("LocalExecutor,KubernetesExecutor", "ok"),
        ("LocalExecutor, k8s:my.module.KubernetesExecutor", "ok"),
        ("LocalExecutor", "warn"),
    ],
)
def test_the_doctor_knows_whether_airflow_has_the_executor(monkeypatch, configured, state):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", configured)
    assert check_executor(Settings.load()) is None
    monkeypatch.setenv("RERANK_AIRFLOW_EXECUTOR", "KubernetesExecutor")
    assert check_executor(Settings.load()).state == state


@pytest.mark.parametrize(
    ("configured", "executor", "is_one"),
    [
        ("LocalExecutor", None, True),
        ("LocalExecutor,CeleryExecutor", None, True),
        ("LocalExecutor,CeleryExecutor", "CeleryExecutor", False),
        ("CeleryExecutor", None, False),
        ("here:airflow.executors.local_executor.LocalExecutor", None, True),
    ],
)
def test_an_executor_of_one_host_is_told_from_others(monkeypatch, configured, executor, is_one):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", configured)
    assert placement.is_one_host(executor) is is_one


def test_the_pod_of_the_page_is_a_pod(monkeypatch):
    pytest.importorskip("kubernetes", reason="the package kubernetes is not installed here")
    page = (REPOSITORY / "dags" / "README.md").read_text(encoding="utf-8")
    (block,) = [part for part in page.split("```")[1::2] if part.startswith("yaml\npod_override")]
    monkeypatch.setenv(NAME, block.removeprefix("yaml\n"))
    pod = AirflowSettings.load().executor_config["pod_override"]
    assert pod.spec.containers[0].resources.limits["nvidia.com/gpu"] == "1"
