"""Loaded first by the process that tries are forked from: libfaketime (clocks.py) refuses the way in which Python sleeps.

Python asks for a sleep until a moment of CLOCK_MONOTONIC, and gets EINVAL. Modules that are loaded later may keep the function.
"""

import select
import time


def sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = sleep
