"""One scoring process for each device of a host."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rerank_airflow import placement

PLUGINS = Path(placement.__file__).parents[1]

HOLD = """
import sys, time
from rerank_airflow.placement import device
with device() as name:
    print(name, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def own_lock_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(placement.tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(placement, "WAIT_SECONDS", 0.02)


@pytest.fixture
def holder():
    """Starts another process that takes a device, and ends it."""
    running = []

    def start(visible):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(PLUGINS), "CUDA_VISIBLE_DEVICES": visible},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_two_processes_take_two_devices(holder):
    first = holder("0,1")
    assert first.stdout.readline() == "0\n"
    second = holder("0,1")
    assert second.stdout.readline() == "1\n"


def test_a_second_process_waits_for_the_only_device_until_it_is_free(holder, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    first = holder("")
    assert first.stdout.readline() == "cpu\n"
    waits = []
    monkeypatch.setattr(
        placement.time, "sleep", lambda _seconds: waits.append(1) or (first.kill(), first.wait())
    )
    with placement.device() as name:
        assert name == "cpu"
    assert waits == [1]


def test_a_killed_holder_frees_its_device(holder):
    first = holder("0")
    assert first.stdout.readline() == "0\n"
    second = holder("0")
    first.send_signal(signal.SIGKILL)
    assert second.stdout.readline() == "0\n"


def test_waiting_ends_when_the_task_is_killed(holder, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(_number, _frame):
        raise Killed

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(placement, "WAIT_SECONDS", 30.0)
    assert holder("0").stdout.readline() == "0\n"
    before = signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    started = time.monotonic()
    try:
        with pytest.raises(Killed), placement.device():
            pytest.fail("the device is held by another process")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 10


def test_only_the_taken_device_is_visible_and_the_variable_comes_back(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5a, GPU-6b")
    with placement.device() as name:
        assert name == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-5a"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-5a, GPU-6b"


@pytest.mark.parametrize("visible", ["", "-1", " , "])
def test_no_visible_gpu_means_the_cpu(monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert placement.devices() == ("cpu",)


def test_a_lock_file_of_another_user_can_be_locked_without_write_access(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    placement.lock_path("0").touch(mode=0o444)
    with placement.device() as name:
        assert name == "0"


def test_a_link_in_the_temp_folder_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    placement.lock_path("0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), placement.device():
        pass
    assert not (tmp_path / "elsewhere").exists()
