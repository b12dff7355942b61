"""Processes that have torchvision, or what stands in for it where its build for CPUs is not installed.

A test of pictures runs in processes of its own: transformers looks for torchvision once, when it is first imported, and vLLM
looks in a process of its own.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]


def run_apart(*arguments: str, told: object = None, **settings: str) -> str:
    """What Python prints when it is called with the arguments, and with `told` as JSON. The `settings` join its environment."""
    stand_in = [] if find_spec("torchvision") else [str(TESTS / "stand_ins")]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), *stand_in, os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **settings},
        input=json.dumps(told),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-1000:] + ended.stderr[-3000:]
    return ended.stdout


def last_line(printed: str) -> Any:
    """The JSON that a child printed last."""
    return json.loads(printed.splitlines()[-1])
