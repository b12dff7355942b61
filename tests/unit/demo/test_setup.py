"""`make setup` says in one sentence what is missing, before it touches anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that `make setup` reads, and no .venv."""
    for name in ("pyproject.toml", "requirements-cpu.lock", "requirements-gpu.lock"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    shutil.copytree(REPOSITORY / ".make", tmp_path / ".make")
    return tmp_path


def fake_command(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    return path


def setup(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": f"{checkout / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(checkout)}
    return subprocess.run(
        [str(checkout / ".make" / "setup")],
        env=base | environment,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


OLD_PYTHON = 'case "$*" in *--version*) echo "Python 3.9.2" ;; *) exit 1 ;; esac'


def test_an_unsupported_python_is_named_with_its_version(checkout: Path) -> None:
    old = fake_command(checkout / "bin", "oldpython", OLD_PYTHON)
    result = setup(checkout, PYTHON=str(old), EXTRA="cpu")
    assert result.returncode == 1
    assert "is Python 3.9.2: Python 3.11, 3.12 or 3.13 is needed" in result.stderr
    assert not (checkout / ".venv").exists()


def test_without_any_suitable_python_the_debian_packages_are_named(checkout: Path) -> None:
    for name in ("python3.11", "python3.12", "python3.13", "python3", "python"):
        fake_command(checkout / "bin", name, OLD_PYTHON)
    result = setup(checkout, EXTRA="cpu")
    assert result.returncode == 1
    assert "Python 3.9.2 was found" in result.stderr
    assert "apt-get install python3 python3-venv" in result.stderr


def test_a_python_without_its_venv_module_names_the_debian_package(checkout: Path) -> None:
    no_venv = fake_command(
        checkout / "bin",
        "novenv",
        f'case "$*" in "-m venv"*) mkdir -p .venv; echo "ensurepip is not available"; exit 1 ;; *) exec {sys.executable} "$@" ;; esac',
    )
    result = setup(checkout, PYTHON=str(no_venv), EXTRA="cpu")
    assert result.returncode == 1
    assert "apt-get install python3-venv" in result.stderr
    assert "ensurepip is not available" in result.stderr
    assert not (checkout / ".venv").exists()


def test_an_unknown_extra_is_refused(checkout: Path) -> None:
    result = setup(checkout, EXTRA="tpu")
    assert result.returncode == 1
    assert "EXTRA=tpu is neither cpu nor gpu" in result.stderr


def test_little_disk_is_warned_of(checkout: Path) -> None:
    fake_command(checkout / "bin", "df", "printf 'Avail\\n1048576\\n'")
    no_venv = fake_command(
        checkout / "bin", "novenv", f'[[ $1 == -m ]] && exit 1; exec {sys.executable} "$@"'
    )
    result = setup(checkout, PYTHON=str(no_venv), EXTRA="cpu")
    assert "WARNING: 1 GiB of disk are free" in result.stdout


def test_a_gpu_that_nvidia_smi_lists_selects_the_gpu_lock(checkout: Path) -> None:
    fake_command(checkout / "bin", "nvidia-smi", "echo 'GPU 0: NVIDIA L4 (UUID: GPU-0)'")
    fake_command(checkout / "bin", "df", "printf 'Avail\\n1048576\\n'")
    no_venv = fake_command(
        checkout / "bin", "novenv", f'[[ $1 == -m ]] && exit 1; exec {sys.executable} "$@"'
    )
    result = setup(checkout, PYTHON=str(no_venv))
    assert "the gpu environment" in result.stdout


@pytest.mark.parametrize("lock", ["requirements-cpu.lock", "requirements-gpu.lock"])
def test_every_requirement_of_a_lock_is_pinned_and_names_no_address(lock: str) -> None:
    lines = [line for line in (REPOSITORY / lock).read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 200
    for line in lines:
        assert "==" in line.split(";")[0]
        assert "/" not in line


def test_the_cpu_lock_leaves_out_the_cuda_builds_that_break_transformers() -> None:
    names = {line.split("==")[0] for line in (REPOSITORY / "requirements-cpu.lock").read_text().splitlines()}
    assert names.isdisjoint({"torchvision", "torchaudio", "torchcodec"})
    assert not [name for name in names if name.startswith("nvidia-")]


def test_make_without_a_target_lists_every_target() -> None:
    result = subprocess.run(["make", "-s", "-C", str(REPOSITORY)], text=True, capture_output=True, check=True)
    for target in ("setup", "demo", "ui", "test", "lint", "format", "lock", "clean"):
        assert f"make {target} " in result.stdout
