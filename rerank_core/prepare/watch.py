"""The watch over one helper's process: what it is given, what it says, and how long it takes.

Processor time is what counts: a busy machine refuses no innocent article. A process that answers nothing for PATIENCE
times that long is frozen. Every wait is bounded, also that for a process that reads or writes nothing.
"""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from rerank_core.prepare.answers import NoAnswer
from rerank_core.prepare.messages import LENGTH, TOO_LARGE

PATIENCE = 6  # times the limit of processor time, in wall time
MAX_ANSWER = 4 << 20  # bytes
MAX_SAID = 2_000  # last bytes of a helper's standard error that are kept
MAX_READS = 4  # of the standard error of a helper that has ended
REAP_SECONDS = 10.0  # a process that was killed ends within this time, unless the kernel itself hangs

# The environment variables that a helper gets: enough to run Python, and nothing that can be secret.
_PASSED_ON = re.compile(r"PATH|HOME|TMPDIR|TEMP|TMP|TZ|LANG|LC_\w+|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON\w*")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # more threads would only take memory
# Not multiprocessing: it sends what can run, and imports the owner's main module again, which Airflow's main module forbids.
_COMMAND = [sys.executable, "-P", "-m", "rerank_core.prepare.helper"]


def start() -> "subprocess.Popen[bytes]":
    """A helper's process. It has no descriptor but the three pipes. Raises OSError."""
    passed_on = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
    return subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=passed_on | _ONE_THREAD,
        process_group=0,  # a terminal's Ctrl-C reaches its owner alone, which ends the helper
    )


class Watched:
    """A helper's process, from its start to its end."""

    def __init__(self) -> None:
        """Start the process. Raises OSError."""
        self._process = start()
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._given, self._answers, self._says = (pipe.fileno() for pipe in pipes if pipe is not None)
        self._waiting = select.poll()
        for descriptor in (self._given, self._answers, self._says):
            os.set_blocking(descriptor, False)
        for descriptor in (self._answers, self._says):
            self._waiting.register(descriptor, select.POLLIN)
        self._said = b""

    @property
    def said(self) -> str:
        """The end of what the process wrote to its standard error; what cannot be printed is escaped."""
        return ascii(self._said.decode("utf-8", "replace"))

    def ask(self, messages: Sequence[bytes], *, seconds: float) -> Iterator[bytes]:
        """Send messages, and yield the body of the answer to each: at most `seconds` of processor time each. Raises NoAnswer.

        All messages are sent at once, so the process never waits for its owner. If an answer is not wanted any more, the process
        must be ended.
        """
        unsent, answers = memoryview(b"".join(messages)), bytearray()
        missing = len(unsent)  # bytes of the messages that are not answered
        self._waiting.register(self._given, select.POLLOUT)
        for message in messages:
            missing -= len(message)
            clock = _Clock(self._process.pid, seconds)
            while (end := _end_of_first(answers)) is None:
                for descriptor, _ in self._waiting.poll(clock.look_milliseconds):
                    if descriptor == self._given:
                        unsent = unsent[self._write(unsent) :]
                        if not unsent:
                            self._waiting.unregister(descriptor)
                    elif descriptor == self._answers:
                        answers += self._read_answer()
                    elif not self._listen():
                        self._waiting.unregister(descriptor)
                clock.check()
            if len(unsent) > missing:
                raise NoAnswer("unreadable: its helper answered before it was asked")
            answer = bytes(answers[LENGTH.size : end])
            del answers[:end]
            if answers and not missing:
                raise NoAnswer(f"unreadable: its helper answered {len(answers):,} bytes too many")
            yield answer

    def _write(self, message: memoryview) -> int:
        """How many bytes of the message need not be sent any more."""
        try:
            return os.write(self._given, message)
        except BlockingIOError:
            return 0
        except BrokenPipeError:  # it has ended, maybe after some answers
            return len(message)

    def _read_answer(self) -> bytes:
        part = os.read(self._answers, 1 << 16)
        if not part:
            raise self._death()
        return part

    def _listen(self) -> bool:
        """Keep the end of what the process says; False if it says nothing any more."""
        part = os.read(self._says, 1 << 16)
        self._said = (self._said + part)[-MAX_SAID:]
        return bool(part)

    def _death(self) -> NoAnswer:
        status = 0
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(REAP_SECONDS)
        with suppress(BlockingIOError):
            for _ in range(MAX_READS):  # what it said last is in the pipe
                self._listen()
        if status == TOO_LARGE:
            return NoAnswer(
                "too_large: its preparation takes more memory than RERANK_PREPARE_MIB", is_certain=True
            )
        if status < 0:
            return NoAnswer(f"unreadable: its preparation ended in {signal.Signals(-status).name}")
        return NoAnswer("unreadable: its preparation ended the process that it was prepared in")

    def kill(self) -> None:
        """Kill the process at once."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process and let go of it. Only if no thread is asking."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(REAP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


class _Clock:
    """How long a process has been at work on one message."""

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid = pid
        self._seconds = seconds
        self._used = _processor_seconds(pid)
        self._began = time.monotonic()
        self.look_milliseconds = 1_000 * min(seconds / 4, 0.5)  # between two looks

    def check(self) -> None:
        """Raise NoAnswer if it is too long."""
        if _processor_seconds(self._pid) - self._used > self._seconds:
            raise NoAnswer(
                f"too_slow: its preparation takes more than {self._seconds:g} s of processor time",
                is_certain=True,
            )
        if time.monotonic() - self._began > PATIENCE * self._seconds:
            raise NoAnswer(f"too_slow: its preparation stood still for {PATIENCE * self._seconds:g} s")


def _processor_seconds(pid: int) -> float:
    """What a process has used; 0 if it has ended, as its pipes will tell."""
    try:
        return time.clock_gettime(
            (~pid << 3) | 2
        )  # the clock that clock_getcpuclockid(3) gives for a process
    except OSError:
        return 0.0


def _end_of_first(answers: bytearray) -> int | None:
    """Where the first answer ends; None if the rest of it is still to come. Raises NoAnswer if it breaks its form."""
    if len(answers) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack_from(answers)
    if length > MAX_ANSWER:
        raise NoAnswer(f"unreadable: its helper answered {length:,} bytes, which is no answer")
    end: int = LENGTH.size + length
    return end if len(answers) >= end else None
