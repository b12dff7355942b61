"""One scoring process for each device of a host."""

import fcntl
import os
import select
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from open_folders import open_folder

from rerank_airflow import devices
from rerank_core.errors import SettingsError

PLUGINS = Path(devices.__file__).parents[1]

HOLD = """
import sys, time
from rerank_airflow import devices
devices.HOST_FOLDERS, devices.LIST = (sys.argv[1],), sys.argv[2:]
with devices.device() as name:
    print(name, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def own_lock_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "HOST_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(devices, "LIST", ("no-nvidia-smi",))
    monkeypatch.setattr(devices, "WAIT_SECONDS", 0.02)


@pytest.fixture
def holder(tmp_path):
    """Starts another process that takes a device, and ends it; `smi` is what nvidia-smi lists there."""
    running = []

    def start(visible, smi=None):
        listed = ("no-nvidia-smi",) if smi is None else ("echo", smi)
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), *listed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
            | {"PYTHONPATH": str(PLUGINS)}
            | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}),
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
        devices.time, "sleep", lambda _seconds: waits.append(1) or (first.kill(), first.wait())
    )
    with devices.device() as name:
        assert name == "cpu"
    assert waits == [1]


GPUS = "GPU {number}: NVIDIA H200 (UUID: GPU-{uuid})"
CUT = """GPU 0: NVIDIA H200 (UUID: GPU-aa)
  MIG 1g.18gb     Device  0: (UUID: MIG-11)
  MIG 2g.35gb     Device  1: (UUID: MIG-22)
GPU 1: NVIDIA H200 (UUID: GPU-bb)"""


def gpus(*uuids):
    return "\n".join(GPUS.format(number=number, uuid=uuid) for number, uuid in enumerate(uuids))


def test_containers_that_see_different_gpus_under_one_number_do_not_wait_for_each_other(holder):
    assert holder("0", gpus("aa")).stdout.readline() == "GPU-aa\n"
    assert holder("0", gpus("bb")).stdout.readline() == "GPU-bb\n"


def test_one_gpu_under_two_numbers_is_one_device(holder):
    first = holder("1", gpus("aa", "bb"))
    assert first.stdout.readline() == "GPU-bb\n"
    second = holder(None, gpus("bb"))
    assert not select.select([second.stdout], [], [], 1.0)[0]  # it waits
    first.kill()
    assert second.stdout.readline() == "GPU-bb\n"


def test_two_tmpdirs_are_one_host(holder, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "one"))
    first = holder("0")
    assert first.stdout.readline() == "0\n"
    monkeypatch.setenv("TMPDIR", str(tmp_path / "other"))
    second = holder("0")
    assert not select.select([second.stdout], [], [], 1.0)[0]
    first.kill()
    assert second.stdout.readline() == "0\n"


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["MIG-11", "MIG-22", "GPU-bb"]),
        ("0", ["MIG-11", "MIG-22"]),
        ("1,0", ["GPU-bb", "MIG-11", "MIG-22"]),
        ("MIG-22,1", ["MIG-22", "GPU-bb"]),
        ("GPU-b", ["GPU-bb"]),
        ("1,-1,0", ["GPU-bb"]),
        ("7", ["7"]),
    ],
)
def test_slices_of_a_gpu_are_devices_side_by_side(monkeypatch, visible, found):
    monkeypatch.setattr(devices, "LIST", ("echo", CUT))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [device.uuid for device in devices.devices()] == found


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
    monkeypatch.setattr(devices, "WAIT_SECONDS", 30.0)
    assert holder("0").stdout.readline() == "0\n"
    before = signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    started = time.monotonic()
    try:
        with pytest.raises(Killed), devices.device():
            pytest.fail("the device is held by another process")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 10


def test_only_the_taken_device_is_visible_and_the_variable_comes_back(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5a, GPU-6b")
    with devices.device() as name:
        assert name == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-5a"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-5a, GPU-6b"


@pytest.mark.parametrize("visible", ["", "-1", " , "])
def test_no_visible_gpu_means_the_cpu(monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.devices() == (devices.CPU,)


def test_the_lock_files_are_in_a_folder_that_only_this_user_can_enter(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with devices.device():
        (folder,) = tmp_path.iterdir()
        assert folder.name == f"news-rerank-{os.getuid()}"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("spoil", ["open", "link", "file", "owner"])
def test_a_folder_that_a_stranger_has_made_is_refused(tmp_path, monkeypatch, spoil):
    folder = tmp_path / f"news-rerank-{os.getuid()}"
    if spoil == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif spoil == "file":
        folder.touch(mode=0o600)
    else:
        folder.mkdir(mode=0o700)
        if spoil == "open":
            folder.chmod(0o755)
        elif os.getuid() != 0:
            pytest.skip("only root can give a folder to another user")
        else:
            os.chown(folder, 65534, 65534)
    with pytest.raises(SettingsError, match="others can enter it"), devices.device():
        pass
    assert not (tmp_path / "elsewhere").exists() or list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start processes of other users")
class TestTwoUsers:
    """Two users of one host exclude each other by a folder that both may use, and a stranger holds neither up."""

    @pytest.fixture
    def tmp_path(self):
        """A folder that `nobody` reaches, in the place of pytest's."""
        with open_folder() as folder:
            yield folder

    @pytest.fixture
    def start(self, monkeypatch):
        """Starts another process, of `nobody` if asked; gives the end of a pipe that it writes to."""
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        running, ends = [], []

        def started(work, *, as_nobody=False):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    if as_nobody:
                        os.setgroups([65534])
                        os.setgid(65534)
                        os.setuid(65534)
                    work(lambda said: os.write(writing, said.encode()))
                except BaseException as error:
                    os.write(writing, type(error).__name__.encode())
                finally:
                    os._exit(0)
            running.append(child)
            ends.extend((reading, writing))
            return reading

        def end(number):
            os.kill(running[number], signal.SIGKILL)

        started.end = end
        yield started
        for number, child in enumerate(running):
            end(number)
            os.waitpid(child, 0)
        for handle in ends:
            os.close(handle)

    def hold(self, say):
        with devices.device() as name:
            say(name)
            time.sleep(60)

    def test_they_take_turns_in_a_shared_folder(self, start, tmp_path, monkeypatch):
        folder = tmp_path / "shared"
        folder.mkdir()
        os.chown(folder, 0, 65534)
        folder.chmod(0o2770)
        monkeypatch.setenv("RERANK_AIRFLOW_LOCK_FOLDER", str(folder))
        assert os.read(start(self.hold), 100) == b"0"
        second = start(self.hold, as_nobody=True)
        assert not select.select([second], [], [], 1.0)[0]  # it waits
        start.end(0)
        assert os.read(second, 100) == b"0"

    @pytest.mark.parametrize("open_to_all", [False, True], ids=["own", "control: open to all"])
    def test_a_stranger_cannot_hold_the_device_of_a_user_with_a_folder_of_his_own(
        self, start, tmp_path, open_to_all
    ):
        assert os.read(start(self.hold), 100) == b"0"
        folder = tmp_path / "news-rerank-0"
        (path,) = folder.iterdir()
        if open_to_all:
            folder.chmod(0o755)
            path.chmod(0o644)
        start.end(0)

        def take(say):
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                say("held")

        assert os.read(start(take, as_nobody=True), 100) == (b"held" if open_to_all else b"PermissionError")


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o2772])
def test_a_shared_folder_that_strangers_can_write_is_refused(tmp_path, monkeypatch, mode):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    monkeypatch.setenv("RERANK_AIRFLOW_LOCK_FOLDER", str(folder))
    with pytest.raises(SettingsError, match="no stranger can write"), devices.device():
        pass


def test_a_shared_folder_that_is_missing_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("RERANK_AIRFLOW_LOCK_FOLDER", str(tmp_path / "none"))
    with (
        pytest.raises(SettingsError, match="RERANK_AIRFLOW_LOCK_FOLDER = .*none.*mode 2770"),
        devices.device(),
    ):
        pass


def test_a_lock_file_of_another_user_can_be_locked_without_write_access(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    devices.lock_path("0").touch(mode=0o444)
    with devices.device() as name:
        assert name == "0"


def test_a_link_in_the_temp_folder_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    devices.lock_path("0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), devices.device():
        pass
    assert not (tmp_path / "elsewhere").exists()
