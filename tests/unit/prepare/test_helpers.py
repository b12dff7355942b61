"""Batches become documents in this process or in helpers beside it; what becomes of them is the same. Helpers are real."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helper_processes import has_ended, running_helpers

from rerank_core.prepare import helpers
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.helpers import Raw, outcome, outcomes

CHINESE = "交通部门周一表示，两座城市之间的新线路将于春季开通，车票一月起发售，首班列车清晨出发。"
ENGLISH = "The new line between the two cities opens in the spring; tickets go on sale in January. "
PAGE = "<html><body><nav><a href='/'>Home</a></nav><article><h1>Line</h1><p>{}</p><p>1,204 views</p></article></body></html>"


def raw(number: int) -> Raw:
    """An article of some kind: plain, a page, garbled, empty, or in Chinese."""
    bodies = (CHINESE * 4, f"<p>{ENGLISH * 4}</p>", "烫烫烫" * 20, "", PAGE.format(ENGLISH * 5))
    body = bodies[number % len(bodies)]
    return Raw(number, f"第{number}期" if body else "", None, body, None)


def some(number: int, *, size: int = 5) -> list[list[Raw]]:
    """So many batches."""
    return [[raw(first + place) for place in range(size)] for first in range(0, number * size, size)]


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds within a minute."""
    until = time.monotonic() + 60
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def alone(given: Sequence[Sequence[Raw]], cleaning: Cleaning = Cleaning()) -> list[Any]:  # noqa: B008 - it is frozen
    """What becomes of these batches without helpers."""
    return [(batch, outcome(batch, cleaning)) for batch in given]


def test_a_revision_is_a_document_or_refused_with_a_reason() -> None:
    ((batch, made),) = alone(some(1))
    assert [*made.documents, *made.refused] == [0, 1, 4, 2, 3]
    assert [reason.partition(":")[0] for reason in made.refused.values()] == ["garbled", "empty"]
    assert made.counts["lang_zh"] == 1
    assert len(batch) == 5


@pytest.mark.parametrize("rules", [None, Path("/no/such/rules")], ids=["sound", "every article breaks"])
def test_helpers_make_what_this_process_makes_in_the_same_order(rules: Path | None) -> None:
    cleaning = Cleaning(rules=rules)
    given = some(9)
    found = list(outcomes(iter(given), cleaning=cleaning, workers=2))
    assert found == alone(given, cleaning)
    assert any(made.failures for _, made in found) == bool(rules)
    assert not running_helpers()


def refused(*_: Any, **__: Any) -> Any:
    raise AssertionError("a helper was started")


def test_few_batches_start_no_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers.subprocess, "Popen", refused)
    given = some(helpers.MANY - 1)
    assert list(outcomes(iter(given), cleaning=Cleaning(), workers=2)) == alone(given)
    assert list(outcomes(iter([]), cleaning=Cleaning(), workers=2)) == []


def test_one_worker_is_the_task_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers.subprocess, "Popen", refused)
    given = some(helpers.MANY + 2)
    assert list(outcomes(iter(given), cleaning=Cleaning(), workers=1)) == alone(given)


def test_helpers_read_one_batch_more_ahead_than_they_are() -> None:
    read: list[int] = []

    def reading() -> Iterator[list[Raw]]:
        for number, batch in enumerate(some(12)):
            read.append(number)
            yield batch

    with closing(outcomes(reading(), cleaning=Cleaning(), workers=2)) as found:
        for number, _ in enumerate(found):
            assert len(read) <= max(helpers.MANY, number + 3)
    assert len(read) == 12


def test_a_helper_that_is_killed_loses_and_doubles_nothing(caplog: pytest.LogCaptureFixture) -> None:
    given, killed = some(12), []

    def killing() -> Iterator[list[Raw]]:
        for number, batch in enumerate(given):
            if number == helpers.MANY + 1:
                assert eventually(lambda: len(running_helpers()) == 2)
            if number in (helpers.MANY + 1, helpers.MANY + 4):
                for helper in running_helpers():
                    helper.kill()
                    killed.append(helper.pid)
            yield batch

    assert list(outcomes(killing(), cleaning=Cleaning(), workers=2)) == alone(given)
    assert len(set(killed)) >= 2
    assert "a helper died" in caplog.text


def test_where_no_helper_can_start_this_process_does_it_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = some(9)
    silent, noisy = "raise SystemExit(1)", "print('could not load x'); input()"
    for command in (["/no/such/program"], [sys.executable, "-c", silent], [sys.executable, "-c", noisy]):
        caplog.clear()
        monkeypatch.setattr(helpers, "_COMMAND", command)
        assert list(outcomes(iter(given), cleaning=Cleaning(), workers=2)) == alone(given)
        assert caplog.text.count("a helper died") == 9


def test_a_helper_that_dies_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Counted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            started.append(self)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(helpers, "_COMMAND", [sys.executable, "-c", "raise SystemExit(1)"])
    monkeypatch.setattr(helpers.subprocess, "Popen", Counted)
    given = some(20)
    assert list(outcomes(iter(given), cleaning=Cleaning(), workers=2)) == alone(given)
    assert len(started) <= 2 * helpers.GIVE_UP


def test_a_helper_that_starts_while_its_owner_ends_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    helper = helpers._Helper(Cleaning())
    helper.kill()
    assert helper.prepare([raw(0)]) is None
    assert not running_helpers()


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8), (None, 8)],
)
def test_as_many_cores_count_as_the_container_grants(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str | None, cores: int
) -> None:
    monkeypatch.setattr(helpers, "CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(helpers.os, "sched_getaffinity", lambda process: set(range(8)))
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert helpers._cores() == cores


def test_a_caller_that_stops_early_leaves_no_helper_behind() -> None:
    found = outcomes(iter(some(20)), cleaning=Cleaning(), workers=2)
    next(found)
    assert running_helpers()
    found.close()
    assert not running_helpers()


class _Written:
    """What becomes the number of bytes that its reader has written to its standard output."""

    def __reduce__(self) -> Any:
        return os.write, (1, b"noise")


def test_what_a_library_prints_in_a_helper_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    noisy = [Raw(_Written(), "Title", None, None, "en")]  # type: ignore[arg-type]
    found = list(outcomes(iter([noisy, *some(6)]), cleaning=Cleaning(), workers=2))
    assert [*found[0][1].documents] == [5]
    assert "noise" in capfd.readouterr().err


def test_a_helper_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", "postgresql://user:hunter2@host/news")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://user:hunter2@host/airflow")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("LANG", "C.UTF-8")
    with closing(outcomes(iter(some(20)), cleaning=Cleaning(), workers=2)) as found:
        next(found)
        known = [helper.environ() for helper in running_helpers()]
    assert known
    assert all(one["LANG"] == "C.UTF-8" and "hunter2" not in str(one) for one in known)


OWNER = """
import itertools, logging, sys
from rerank_core.prepare.helpers import Raw, outcomes
from rerank_core.prepare.cleaning import Cleaning

many = ([Raw(n, "A title", None, "Some text. " * 50, "en")] * 20 for n in itertools.count())
for number, (batch, made) in enumerate(outcomes(many, cleaning=Cleaning(), workers=2)):
    print(number, flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_helpers_end_with_their_owner_however_it_ends(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as owner:
        assert owner.stdout is not None
        for _ in range(10):
            assert owner.stdout.readline()
        started = running_helpers(owner.pid)
        assert len(started) == 2
        if how is signal.SIGINT:
            assert all(os.getpgid(helper.pid) == helper.pid for helper in started), (
                "the signal would reach it"
            )
            os.killpg(owner.pid, how)  # as a terminal does
        else:
            owner.send_signal(how)
        owner.stdout.close()
        assert owner.wait(60) != 0
    assert eventually(lambda: all(map(has_ended, started)))


DAEMON = """
import multiprocessing, os, sys
from rerank_core.prepare.helpers import Raw, outcomes
from rerank_core.prepare.cleaning import Cleaning

def work():
    many = [[Raw(n, f"Title {n}", None, None, "en")] for n in range(9)]
    found = list(outcomes(iter(many), cleaning=Cleaning(), workers=2))
    assert [list(made.documents) for _, made in found] == [[n] for n in range(9)]
    os._exit(7)

task = multiprocessing.get_context("fork").Process(target=work, daemon=True)
task.start()
task.join()
sys.exit(task.exitcode)
"""


def test_a_daemonic_task_may_have_helpers() -> None:
    """An executor's workers can be daemons, whose processes multiprocessing would refuse."""
    done = subprocess.run([sys.executable, "-c", DAEMON], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert "helper died" not in done.stderr
