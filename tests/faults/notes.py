"""What the fire writes down for the oracle, beside what writers and readers log: a line of JSON for each event."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Notes:
    """The notes of whatever has a folder."""

    folder: Path

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Keep that no page could come out meanwhile: the database or the store was down."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._note("outages.log", began=began, ended=time.monotonic())

    def _note(self, name: str, **values: Any) -> None:
        with (self.folder / name).open("a") as log:
            log.write(json.dumps(values) + "\n")
