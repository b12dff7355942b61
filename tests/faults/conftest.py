"""One fire for all tests of this folder: its Postgres is crashed on purpose, so that no other test may share it."""

from collections.abc import Iterator

import pytest

from faults.world import Fire


@pytest.fixture(scope="session")
def fire() -> Iterator[Fire]:
    with Fire() as found:
        yield found
