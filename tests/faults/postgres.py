"""The fire's Postgres: it can crash, workers of another host reach it by a wire, and its clock can jump."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from faults.clocks import Clocks
from faults.network import Network
from rerank_core.demo.postgres import EmbeddedPostgres

PORT = 5432


class CrashingPostgres(EmbeddedPostgres):
    """A Postgres that can be cut off like a machine: an immediate stop, then recovery at the start.

    Commits wait for their log here, as on a real server: the embedded one's default would lose some.
    """

    def __init__(self, *, folder: Path, network: Network | None = None, clocks: Clocks | None = None) -> None:
        super().__init__(folder=folder)
        self._network = network if network is not None and not network.why_none else None
        self._clocks = clocks

    def server_settings(self) -> dict[str, str]:
        found = super().server_settings()
        if self._network is not None:
            found["listen_addresses"] = self._network.address("database")
        return found

    def start(self) -> None:
        with self._clocks.of_database() if self._clocks else nullcontext():
            super().start()
        self._run("ALTER ROLE postgres SET synchronous_commit = on")
        rules = self.folder / "pg_hba.conf"
        if self._network is not None:
            worker = self._network.address("database", of_worker=True)
            rule = f"host all all {worker}/32 trust\n"
            if rule not in rules.read_text():
                with rules.open("a") as file:
                    file.write(rule)
                self._run("SELECT pg_reload_conf()")

    def crash(self) -> None:
        """`pg_ctl stop -m immediate`; returns when it is gone."""
        pid = int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        self.stop()

    @contextmanager
    def with_clock(self, clocks: Clocks) -> Iterator[None]:
        """Meanwhile its clock can jump: it is started again for that, and afterwards."""
        self._restart(clocks)
        try:
            yield
        finally:
            self._restart(None)

    def _restart(self, clocks: Clocks | None) -> None:
        self.stop()
        self._clocks = clocks
        self.start()

    def checkpoint(self) -> None:
        """Everything so far survives a crash."""
        self._run("CHECKPOINT")

    def make_space(self, name: str, folder: Path) -> None:
        """A tablespace in a folder."""
        space = folder / "space"
        space.mkdir()
        owner = self.folder.stat()
        os.chown(space, owner.st_uid, owner.st_gid)
        self._run(f"CREATE TABLESPACE {name} LOCATION '{space}'")

    def drop_space(self, name: str) -> None:
        self._run(f"DROP TABLESPACE IF EXISTS {name}")

    def copy(self, database: str, *, template: str, space: str = "pg_default") -> None:
        """A database like another one, with its tables in this space."""
        self._run(f'CREATE DATABASE "{database}" TEMPLATE "{template}" STRATEGY FILE_COPY TABLESPACE {space}')

    def dsn(self, name: str) -> str:
        """How psycopg2 reaches one of its databases."""
        return f"dbname={name} user=postgres host={self._socket}"

    def remote_url(self, name: str) -> str:
        """How workers of the other host reach one of its databases."""
        assert self._network is not None
        return f"postgresql+psycopg2://postgres@{self._network.address('database')}:{PORT}/{name}"
