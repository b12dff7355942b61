"""Every article is prepared in a helper: a process that is bounded, watched, ended and replaced. Helpers are real."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from helper_processes import has_ended, running_helpers
from odd_helpers import LOG, WRONG, WRONG_FRAMES

from rerank_core.errors import HelperUnavailable
from rerank_core.prepare import answers, helpers, watch
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.prepare.helpers import Limits, Outcome, Raw, outcomes
from rerank_core.prepare.messages import framed

ODD = Path(__file__).parents[2] / "odd_helpers.py"
LIBRARY_START = watch.start  # before a fixture replaces it
CHINESE = "交通部门周一表示，两座城市之间的新线路将于春季开通，车票一月起发售，首班列车清晨出发。"
ENGLISH = "The new line between the two cities opens in the spring; tickets go on sale in January. "
PAGE = "<html><body><nav><a href='/'>Home</a></nav><article><h1>Line</h1><p>{}</p><p>1,204 views</p></article></body></html>"
SLOW = "<p><i>x" * 280_000  # seconds of processor time
LARGE = "<p>a b c</p>" * 160_000  # some 70 MiB


def raw(number: int) -> Raw:
    """An article of some kind: plain, a page, garbled, empty, or in Chinese."""
    bodies = (CHINESE * 4, f"<p>{ENGLISH * 4}</p>", "烫烫烫" * 20, "", PAGE.format(ENGLISH * 5))
    body = bodies[number % len(bodies)]
    return Raw(number, f"a{number}", f"第{number}期" if body else "", None, body, None)


def titled(*titles: str) -> list[Raw]:
    """A batch of articles that are a title, and do what it says in an odd helper."""
    return [Raw(number, f"a{number}", title, None, None, "en") for number, title in enumerate(titles, 1)]


def some(number: int, *, size: int = 5) -> list[list[Raw]]:
    """So many batches."""
    return [[raw(first + place) for place in range(size)] for first in range(0, number * size, size)]


def prepared(
    batches: Sequence[Sequence[Raw]] | Iterator[Sequence[Raw]],
    *,
    number: int = 1,
    cleaning: Cleaning = Cleaning(),  # noqa: B008 - it is frozen
    **limits: Any,
) -> Outcome:
    """What becomes of the batches, all together."""
    whole = Outcome()
    for part in outcomes(iter(batches), cleaning=cleaning, limits=Limits(**limits), number=number):
        assert not whole.documents.keys() & part.documents.keys()
        whole.documents |= part.documents
        whole.refused |= part.refused
        whole.counts += part.counts
    return whole


def alone(batches: Sequence[Sequence[Raw]], cleaning: Cleaning = Cleaning()) -> Outcome:  # noqa: B008
    """What this process makes of them."""
    whole = Outcome()
    for one in (one for batch in batches for one in batch):
        try:
            whole.documents[one.revision_id] = to_document(
                title=one.title,
                summary=one.summary,
                body=one.body,
                lang=one.lang,
                cleaning=cleaning,
                counts=whole.counts,
            )
        except Unpreparable as reason:
            whole.refused[one.revision_id] = str(reason)
        except Exception as error:
            whole.refused[one.revision_id] = f"unreadable: {type(error).__name__} in its preparation"
    whole.counts = +whole.counts
    return whole


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds within a minute."""
    until = time.monotonic() + 60
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts an odd helper in the place of the library's."""

    def put(kind: str = "") -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv(LOG, str(tmp_path / "log"))
        monkeypatch.setattr(watch, "_COMMAND", [sys.executable, str(ODD), kind])
        monkeypatch.setattr(watch, "_ONE_THREAD", {LOG: str(tmp_path / "log")})
        monkeypatch.setattr(watch, "start", LIBRARY_START)

    return put


@pytest.fixture
def really(monkeypatch: pytest.MonkeyPatch) -> None:
    """Helpers start as the library starts them."""
    monkeypatch.setattr(watch, "start", LIBRARY_START)


# ── What they make ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("rules", [None, Path("/no/such/rules")], ids=["sound", "every article breaks"])
def test_helpers_make_what_this_process_would_make(rules: Path | None, number: int) -> None:
    cleaning = Cleaning(rules=rules)
    found = prepared(some(9), number=number, cleaning=cleaning)
    assert found == alone(some(9), cleaning)
    assert [reason.partition(":")[0] for reason in found.refused.values()].count("garbled") == (
        0 if rules else 9
    )


def test_outcomes_come_in_the_order_of_the_batches() -> None:
    with closing(outcomes(iter(some(9)), cleaning=Cleaning(), limits=Limits(), number=2)) as found:
        revisions = [[*part.documents, *part.refused] for part in found]
    assert [max(part) // 5 for part in revisions] == sorted(min(part) // 5 for part in revisions)
    assert sorted(chain.from_iterable(revisions)) == list(range(45))


def test_a_parser_that_breaks_is_told_with_the_article(caplog: pytest.LogCaptureFixture) -> None:
    prepared([[replace(titled("one")[0], body="Two lines")]], cleaning=Cleaning(rules=Path("/no/such/rules")))
    (told,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "article 'a1', revision 1 cannot be prepared" in told.getMessage()
    assert "SettingsError" in told.getMessage()


def test_helpers_read_one_batch_more_ahead_than_they_are() -> None:
    read: list[int] = []

    def reading() -> Iterator[list[Raw]]:
        for number, batch in enumerate(some(12)):
            read.append(number)
            yield batch

    with closing(outcomes(reading(), cleaning=Cleaning(), limits=Limits(), number=2)) as found:
        for number, _ in enumerate(found):
            assert len(read) <= number + 3
    assert len(read) == 12


def test_no_batch_starts_no_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "start", None)
    assert prepared([]) == Outcome()


def test_a_batch_that_takes_long_is_handed_over_in_parts(
    odd: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd()
    monkeypatch.setattr(helpers, "SAVE_SECONDS", 0.2)
    batch = titled("linger", "linger", "quick")
    found = list(outcomes(iter([batch]), cleaning=Cleaning(), limits=Limits(), number=1))
    assert [list(part.documents) for part in found] == [[1, 2], [3]]


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
    assert helpers.usable_cores() == cores


# ── Time and memory ─────────────────────────────────────────────────────────────────────────────


def test_an_article_that_takes_too_long_is_set_aside_and_its_batch_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    batch = [raw(0), Raw(77, "poison", "Slow", None, SLOW, "en"), raw(1), raw(4)]
    found = prepared([batch], seconds=0.4)
    assert found.refused == {77: "too_slow: its preparation takes more than 0.4 s of processor time"}
    assert list(found.documents) == [0, 1, 4]
    assert "article 'poison', revision 77 goes to quarantine: too_slow" in caplog.text
    assert "tried once more" not in caplog.text


def test_an_article_that_takes_too_much_memory_is_set_aside_and_its_batch_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    batch = [raw(0), Raw(77, "poison", "Large", None, LARGE, "en"), raw(1)]
    found = prepared([batch], mib=24)
    assert found.refused == {77: "too_large: its preparation takes more memory than RERANK_PREPARE_MIB"}
    assert list(found.documents) == [0, 1]
    assert "article 'poison', revision 77 goes to quarantine: too_large" in caplog.text


@pytest.mark.slow
def test_control_within_its_limits_the_same_article_is_prepared() -> None:
    found = prepared(
        [[Raw(1, "slow", "S", None, SLOW, "en"), Raw(2, "large", "L", None, LARGE, "en")]], seconds=60
    )
    assert list(found.documents) == [1, 2]


@pytest.mark.parametrize("how", ["hang", "sleep", "stop"])
def test_whatever_holds_a_helper_for_ever_is_ended(odd: Callable[..., None], how: str) -> None:
    odd()
    found = prepared([titled("one", how, "two")], seconds=0.3)
    assert list(found.documents) == [1, 3]
    (reason,) = found.refused.values()
    assert (
        reason
        == {
            "hang": "too_slow: its preparation takes more than 0.3 s of processor time",
            "sleep": "too_slow: its preparation stood still for 1.8 s",
            "stop": "too_slow: its preparation stood still for 1.8 s",
        }[how]
    )


def test_control_without_the_watch_a_helper_that_hangs_holds_the_stage_for_ever(
    odd: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd()
    monkeypatch.setattr(watch._Clock, "check", lambda clock: None)
    with helpers.Helpers(1, cleaning=Cleaning(), limits=Limits(seconds=0.1)) as ready:
        parts = ready.prepare(titled("hang"))
        with pytest.raises(Empty):
            parts.get(timeout=3)


def test_a_busy_machine_refuses_no_article(odd: Callable[..., None]) -> None:
    odd()
    assert list(prepared([titled("linger")], seconds=0.1).documents) == [1]


def test_a_helper_that_reads_nothing_holds_nothing_up(odd: Callable[..., None]) -> None:
    odd()
    large = [replace(one, body="x" * 3_000_000) for one in titled("stop", "two")]
    found = prepared([[*large, replace(large[0], revision_id=3, title="two")]], seconds=0.3)
    assert (list(found.documents), list(found.refused)) == ([2, 3], [1])


def test_answers_that_came_before_the_end_of_a_helper_count(odd: Callable[..., None]) -> None:
    """The helper is asked more than its pipe holds, and has ended before its owner looks."""
    odd()
    process = watch.Watched()
    try:
        assert list(process.ask([framed({})], seconds=5)) == [b"{}"]
        articles = [{"title": title, "body": ""} for title in ("one", "two", "large")]
        articles.append({"title": "four", "body": "x" * 300_000})
        told = process.ask([framed({"prepare": article}) for article in articles], seconds=5)
        assert b'"one"' in next(told)
        assert eventually(lambda: process._process.poll() is not None)
        assert b'"two"' in next(told)
        with pytest.raises(answers.NoAnswer, match="too_large") as raised:
            next(told)
        assert raised.value.is_certain
    finally:
        process.end()


def test_a_helper_answers_no_article_that_it_was_not_asked(odd: Callable[..., None]) -> None:
    odd("eager")
    process = watch.Watched()
    try:
        list(process.ask([framed({})], seconds=5))
        with pytest.raises(answers.NoAnswer, match="answered before it was asked"):
            list(process.ask([framed({"prepare": {"title": "one", "body": "x" * 3_000_000}})], seconds=5))
    finally:
        process.end()


# ── Deaths ──────────────────────────────────────────────────────────────────────────────────────


def test_an_article_that_kills_its_helper_twice_is_set_aside_alone(
    odd: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    odd()
    found = prepared([titled("one", "die", "two")])
    assert list(found.documents) == [1, 3]
    assert found.refused == {2: "unreadable: its preparation ended in SIGSEGV"}
    assert (
        "article 'a2', revision 2: unreadable: its preparation ended in SIGSEGV; it is tried once more"
        in caplog.text
    )
    assert "article 'a2', revision 2 goes to quarantine" in caplog.text


@pytest.mark.parametrize("once", ["die once", "stop once"])
def test_an_article_whose_helper_dies_or_freezes_once_is_innocent(
    odd: Callable[..., None], once: str
) -> None:
    odd()
    found = prepared([titled("one", once, "two")], seconds=0.3)
    assert (list(found.documents), found.refused) == ([1, 2, 3], {})


def test_a_second_try_has_no_other_helper_at_work_beside_it(odd: Callable[..., None], tmp_path: Path) -> None:
    odd()
    batches = [titled(*["linger"] * 4), titled("die once", "one"), titled(*["linger"] * 4)]
    numbered = [
        [replace(one, revision_id=10 * place + one.revision_id) for one in batch]
        for place, batch in enumerate(batches)
    ]
    assert len(prepared(numbered, number=2).documents) == 10
    began: dict[str, float] = {}
    spans = []
    for line in (tmp_path / "log").read_text().splitlines():
        moment, process, what, title = line.split(" ", 3)
        if what == "begin":
            began[process] = float(moment)
        else:
            spans.append((began[process], float(moment), title))
    ((begun, ended),) = [(first, last) for first, last, title in spans if title == "die once"]
    beside = [title for first, last, title in spans if first < ended and last > begun]
    assert beside == ["die once"]


def test_helpers_that_are_killed_lose_and_double_nothing(
    really: None, caplog: pytest.LogCaptureFixture
) -> None:
    given, killed = some(12), []

    def killing() -> Iterator[list[Raw]]:
        for number, batch in enumerate(given):
            if number == 6:
                assert eventually(lambda: len(running_helpers()) == 2)
            if number in (6, 9):
                for helper in running_helpers():
                    helper.kill()
                    killed.append(helper.pid)
            yield batch

    assert prepared(killing(), number=2) == alone(given)
    assert len(set(killed)) >= 2


def test_if_no_helper_can_start_the_stage_says_what_it_said(
    odd: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd("silent")
    with pytest.raises(HelperUnavailable, match=r"could not load \\x1b\[2J libxml2"):
        prepared(some(3), number=2)
    monkeypatch.setattr(watch, "_COMMAND", ["/no/such/program"])
    with pytest.raises(HelperUnavailable, match="No such file"):
        prepared(some(3))


# ── What is believed ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [*WRONG, *WRONG_FRAMES])
def test_an_answer_that_breaks_its_form_is_not_believed(
    odd: Callable[..., None], kind: str, tmp_path: Path
) -> None:
    odd(kind)
    found = prepared([titled("one", "wrong", "two")])
    assert list(found.documents) == [1, 3]
    assert found.refused[2].startswith("unreadable: its helper")
    assert not (tmp_path / "executed").exists()


def test_control_whoever_unpickles_that_answer_runs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    from odd_helpers import Executed

    pickle.loads(pickle.dumps(Executed()))
    assert (tmp_path / "executed").exists()


def test_a_digest_is_made_here() -> None:
    made = answers.Made(
        title="t",
        text="text",
        lang="en",
        terms="",
        lang_confidence=0,
        flags=(),
        signature=None,
        letters_in=4,
        letters_out=4,
    )
    assert made.to_document().digest == to_document(title=None, summary=None, body="text", lang=None).digest


def test_a_helper_knows_no_secret_and_has_its_pipes_alone(
    really: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", "postgresql://user:hunter2@host/news")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://user:hunter2@host/airflow")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("LANG", "C.UTF-8")
    with (
        open(os.devnull) as inherited,  # noqa: PTH123
        closing(outcomes(iter(some(3)), cleaning=Cleaning(), limits=Limits(), number=1)) as found,
    ):
        os.set_inheritable(inherited.fileno(), True)
        next(found)
        (helper,) = running_helpers()
        known = helper.environ()
        opened = {str(each.readlink()) for each in Path(f"/proc/{helper.pid}/fd").iterdir()}
    assert known["LANG"] == "C.UTF-8"
    assert "hunter2" not in str(known)
    assert all(name.startswith("pipe:") for name in opened), opened
    assert len(opened) == 3


NOISY = """
import sys
from rerank_core.prepare import helper
prepared = helper.Helper._prepared
def noisy(self, **article):
    print("noise")
    sys.stdout.flush()
    return prepared(self, **article)
helper.Helper._prepared = noisy
helper.main()
"""


def test_what_a_library_prints_in_a_helper_is_no_answer(
    really: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_COMMAND", [sys.executable, "-P", "-c", NOISY])
    assert prepared(some(2)) == alone(some(2))


# ── Its owner ───────────────────────────────────────────────────────────────────────────────────


def test_a_caller_that_stops_early_leaves_no_helper_behind(really: None) -> None:
    found = outcomes(iter(some(20)), cleaning=Cleaning(), limits=Limits(), number=2)
    next(found)
    assert running_helpers()
    found.close()
    assert not running_helpers()


def test_a_caller_that_stops_while_an_article_hangs_does_not_wait(odd: Callable[..., None]) -> None:
    odd()
    found = outcomes(
        iter([titled("one"), titled("hang"), titled("hang")]),
        cleaning=Cleaning(),
        limits=Limits(seconds=3_600),
        number=2,
    )
    next(found)
    closing_thread = threading.Thread(target=found.close)
    closing_thread.start()
    closing_thread.join(30)
    assert not closing_thread.is_alive()


OWNER = """
import itertools, sys
from rerank_core.prepare import watch
from rerank_core.prepare.helpers import Limits, Raw, outcomes
from rerank_core.prepare.cleaning import Cleaning

many = ([Raw(n, "a", "A title", None, "Some text. " * 50, "en")] * 20 for n in itertools.count())
for part in outcomes(many, cleaning=Cleaning(), limits=Limits(), number=2):
    print(part.last, flush=True)
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
from rerank_core.prepare.helpers import Limits, Raw, outcomes
from rerank_core.prepare.cleaning import Cleaning

def work():
    many = [[Raw(n, "a", f"Title {n}", None, None, "en")] for n in range(9)]
    found = list(outcomes(iter(many), cleaning=Cleaning(), limits=Limits(), number=2))
    assert [list(part.documents) for part in found] == [[n] for n in range(9)]
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
