"""The faults of one scenario, delivered while its runs are played: each waits for its victim, then strikes it."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from faults import attempt, traffic
from faults.conductor import Conductor
from faults.points import Order
from faults.strikes import ARRIVAL_SECONDS, OTHERS, STRIKES, Fault
from faults.world import Running, World

SICK_ARTICLES = 12


@dataclass
class Assault:
    """The faults of one scenario, being delivered while its runs are played."""

    world: World
    faults: Sequence[Fault]
    rivals: list[Conductor] = field(default_factory=list)
    frozen: list[Running] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self) -> None:
        """Place every order, and every article that is one, before the first try starts."""
        for fault in self.faults:
            if fault.kind == "pathological article":
                traffic.add(self.world.dsn, Random(0), SICK_ARTICLES, title=f"{traffic.SICK} ")
            order = Order.give(self.world.orders, fault.point) if fault.point else None
            thread = threading.Thread(target=self._deliver, args=(fault, order), daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        """The struck run has come to its end: what was frozen goes on, what is broken is mended."""
        self.over.set()
        for thread in self._threads:
            thread.join(60)
        for running in self.frozen:
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGCONT)
        for running in self.frozen:
            running.process.join(20)
        for order in self.world.orders.glob("engine.*.order"):
            order.unlink()

    def await_page(self) -> None:
        """Wait until the struck run has a page, or is so late that the oracle will object."""
        give_up = time.monotonic() + self.world.deadline_seconds + 2 * self.world.grace_seconds
        while time.monotonic() < give_up and not self.over.is_set() and not self.world.is_out("struck"):
            time.sleep(0.02)

    def await_error(self, seconds: float) -> bool:
        """Wait until a try fails with an error that a later try may mend; whether one did."""
        before = len(self.world.tries) - 1
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(one.process.exitcode == attempt.RETRYABLE for one in self.world.tries[before:]):
                return True
            time.sleep(0.005)
        return False

    def _deliver(self, fault: Fault, order: Order | None) -> None:
        try:
            if fault.kind in OTHERS:
                OTHERS[fault.kind](self, fault, order)
                return
            if order is None:
                victim, let_go = self._await_try(fault.stage), _nobody_waits
                time.sleep(fault.delay)
            else:
                victim, let_go = self._await_arrival(order), order.let_go
            if victim is not None:
                fault.delivered = STRIKES[fault.kind](self, fault, victim, let_go)
                let_go()
        except Exception as error:  # nothing of the fire itself may fail in silence
            self.unexpected.append(f"the fault {fault} failed: {type(error).__name__}: {error}")
            raise

    def _await_arrival(self, order: Order) -> Running | None:
        here = order.wait(seconds=ARRIVAL_SECONDS + self.world.deadline_seconds, unless=self.over.is_set)
        if here is None:
            return None
        return next(one for one in self.world.tries if one.process.pid == here["pid"])

    def _await_try(self, stage: str) -> Running | None:
        deadline = time.monotonic() + ARRIVAL_SECONDS + self.world.deadline_seconds
        while time.monotonic() < deadline and not self.over.is_set():
            for one in self.world.tries:
                if one.asked.stage == stage and one.asked.key == "struck" and one.process.pid:
                    return one
            time.sleep(0.003)
        return None


def _nobody_waits() -> None:
    """The try was not held."""
