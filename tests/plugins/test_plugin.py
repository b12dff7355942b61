"""What Airflow takes from the plugins folder, and what the scheduler does with it."""

import ast
from pathlib import Path

import pytest

import rerank_airflow
from rerank_airflow import placement

PACKAGE = Path(rerank_airflow.__file__).parent


def test_airflow_loads_one_plugin_and_runs_no_other_file_of_the_package():
    from airflow._shared.module_loading import find_path_from_directory

    found = find_path_from_directory(PACKAGE.parent, ".airflowignore", "glob")
    assert [path for path in found if path.endswith(".py")] == [str(PACKAGE / "rerank_plugin.py")]


def test_the_plugin_is_registered_without_an_error():
    from airflow import plugins_manager

    plugins, errors = plugins_manager._get_plugins()
    assert "news_rerank" in {plugin.name for plugin in plugins}
    assert not {path: error for path, error in errors.items() if "rerank_airflow" in path}


def test_no_module_imports_the_engine_or_arrow_when_it_is_imported():
    heavy = {
        "torch",
        "vllm",
        "pyarrow",
        "bm25s",
        "transformers",
        "rerank_core.pipeline",
        "rerank_core.operations.doctor.examine",
    }
    for path in (*PACKAGE.glob("*.py"), *PACKAGE.glob("operators/*.py"), *PACKAGE.glob("signals/*.py")):
        for node in ast.parse(path.read_text()).body:
            names = set()
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
            assert not heavy & names, path


@pytest.mark.usefixtures("metadata")
class TestPool:
    def slots(self, name):
        from airflow.models.pool import Pool

        found = Pool.get_pool(name)
        return None if found is None else found.slots

    def test_a_starting_scheduler_creates_the_missing_pool_of_each_pipeline(self, monkeypatch):
        from airflow.jobs.job import Job

        monkeypatch.setenv("RERANK_GPU_POOL", "first")
        monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", '{"news": {}, "shadow": {"gpu_pool": "second"}}')
        monkeypatch.setenv("RERANK_AIRFLOW_POOL_SLOTS", "3")
        Job(job_type="SchedulerJob")
        assert (self.slots("first"), self.slots("second")) == (3, 3)

    def test_a_pool_that_exists_keeps_its_slots(self):
        assert placement.create_missing("kept", slots=2)
        assert not placement.create_missing("kept", slots=5)
        assert self.slots("kept") == 2

    def test_a_task_that_starts_does_not_look_for_pools(self, monkeypatch):
        from airflow.sdk.execution_time.task_runner import TaskRunnerMarker

        monkeypatch.setattr(
            placement, "create_missing", lambda *_args, **_options: pytest.fail("no database here")
        )
        placement.on_starting(TaskRunnerMarker())
