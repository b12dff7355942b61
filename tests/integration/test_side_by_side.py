"""Two pytest processes: every folder belongs to one of them, both reports are shown, and either one can fail the whole."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import side_by_side

RUN = """
import sys
from pathlib import Path
import side_by_side
folder = Path(sys.argv[1])
raise SystemExit(side_by_side.run([[str(folder / "one")], [str(folder / "two")]], sys.argv[2:]))
"""


def make_tests(folder: Path, **sources: str) -> None:
    """A folder of tests for each keyword, and a configuration of its own."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, source in sources.items():
        (folder / name).mkdir()
        (folder / name / f"test_{name}.py").write_text(source)


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-c", RUN, str(folder), "-p", "no:cacheprovider", *options]


def environment() -> dict[str, str]:
    """As it is when both processes run at once, also where these tests themselves run in turn."""
    own = {name: value for name, value in os.environ.items() if name != "IN_TURN"}
    return own | {"PYTHONPATH": str(side_by_side.TESTS)}


def run(folder: Path, *options: str) -> tuple[int, str]:
    """Exit status and output."""
    done = subprocess.run(
        command(folder, *options), env=environment(), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_every_folder_of_tests_is_collected_by_one_process() -> None:
    computing, waiting = side_by_side.folders()
    assert computing == [str(side_by_side.TESTS), *(f"--ignore={folder}" for folder in waiting)]
    assert [folder for folder in waiting if not Path(folder).is_dir()] == []


def test_both_reports_are_shown_and_added_up(tmp_path: Path) -> None:
    make_tests(
        tmp_path,
        one="def test_a(): pass\ndef test_b(): pass",
        two="import pytest\ndef test_c(): pass\ndef test_d(): pytest.skip('no')",
    )
    status, output = run(tmp_path)
    assert status == 0
    assert re.findall(r"^(.+ in) [\d.]+s", output, re.M) == [
        "2 passed in",
        "1 passed, 1 skipped in",
        "3 passed, 1 skipped in",
    ]
    assert output.splitlines()[-1].startswith("3 passed, 1 skipped in ")


@pytest.mark.parametrize("failing", ["one", "two"])
def test_a_failure_of_either_process_fails_the_whole_and_is_named_at_the_end(
    tmp_path: Path, failing: str
) -> None:
    sources = dict.fromkeys(("one", "two"), "def test_good(): pass")
    make_tests(tmp_path, **sources | {failing: "def test_bad(): assert 0"})
    status, output = run(tmp_path)
    assert status == 1
    *_, named, closing = output.splitlines()
    assert named.startswith("FAILED ")
    assert f"test_{failing}.py::test_bad" in named
    assert closing.startswith("1 failed, 1 passed in ")


def test_options_may_leave_one_process_without_tests_but_not_both(tmp_path: Path) -> None:
    make_tests(tmp_path, one="def test_a(): pass", two="def test_b(): pass")
    status, output = run(tmp_path, "-k", "test_b")
    assert status == 0
    assert output.splitlines()[-1].startswith("1 passed, 1 deselected in ")
    assert run(tmp_path, "-k", "nothing")[0] == side_by_side.NO_TESTS


def test_a_process_that_dies_counts_as_an_error(tmp_path: Path) -> None:
    make_tests(tmp_path, one="def test_a(): pass", two="import os\ndef test_b(): os.abort()")
    status, output = run(tmp_path)
    assert status == 1
    assert output.splitlines()[-1].startswith("1 passed, 1 error in ")


def test_the_tests_close_their_fixtures_when_the_whole_is_ended(tmp_path: Path) -> None:
    waiting = (
        "import time, pytest\nfrom pathlib import Path\n"
        "@pytest.fixture\ndef held(request):\n"
        "    sign = Path(__file__).with_suffix('.open'); sign.touch()\n"
        "    yield\n"
        "    sign.rename(sign.with_suffix('.closed'))\n"
        "def test_waits(held): time.sleep(60)\n"
    )
    make_tests(tmp_path, one=waiting, two=waiting)
    started = subprocess.Popen(command(tmp_path), env=environment(), stdout=subprocess.DEVNULL)
    give_up = time.monotonic() + 60
    while len([*tmp_path.rglob("*.open")]) < 2:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    assert started.wait(60) == 2  # pytest's status of an interruption
    assert len([*tmp_path.rglob("*.closed")]) == 2


def test_the_closing_line_counts_as_pytest_does() -> None:
    reports = [
        "1 failed, 1 warning in 1.00s",
        "2 failed, 1 warning, 1 error in 61.00s (0:01:01)",
        "no tests ran in 0.01s",
    ]
    assert (
        side_by_side.closing_line(reports, [1, 1, 5], seconds=62.0)
        == "3 failed, 2 warnings, 1 error in 62.00s (0:01:02)"
    )
