"""One sitting of the demo: databases, store, settings and Airflow, under one folder.

The folder is `.demo` of the checkout, or RERANK_DEMO_DIR. Databases are embedded, unless RERANK_DATABASE_URL and
RERANK_AIRFLOW_DATABASE_URL name others; the demo uses those as they are and never empties them.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from rerank_core.demo.airflow import REPOSITORY, AirflowSandbox, free_port
from rerank_core.demo.airflow_environment import HOST
from rerank_core.demo.media import SETTING
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.demo.servers import Server
from rerank_core.errors import RerankError
from rerank_core.settings import DEMO_CHECKPOINT

NEWS, METADATA = "news", "airflow"


class CommandFailed(RerankError):
    """A `rerank` command of the demo ended with an error."""


class Sitting:
    """Databases, store and Airflow of one sitting. A context manager: everything ends with it."""

    def __init__(
        self, *, folder: Path, model: str | None, port: int | None, scheduled: bool, media: bool = False
    ) -> None:
        """Describe it; nothing runs yet. Raises SettingsError if `port` is in use."""
        self.folder = folder.absolute()
        self.store = self.folder / "store"
        self.media = self.folder / "media" if media else None  # drawn for the sample
        self.logs = self.folder / "logs"
        self._news_url = os.environ.get("RERANK_DATABASE_URL")
        self._metadata_url = os.environ.get("RERANK_AIRFLOW_DATABASE_URL")
        self._store_url = os.environ.get("RERANK_STORE_URL", self.store.as_uri())
        self.postgres: EmbeddedPostgres | None = None
        if not (self._news_url and self._metadata_url):
            self.postgres = EmbeddedPostgres(folder=self.folder / "postgres", log=self.logs / "postgres.log")
        self.model = _located(model or os.environ.get("RERANK_MODEL") or str(DEMO_CHECKPOINT))
        self._port = None if port is None else free_port(port)
        self._scheduled = scheduled
        self._airflow: AirflowSandbox | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    @property
    def demonstration(self) -> bool:
        """Whether the bundled demonstration checkpoint ranks."""
        return self.model == str(DEMO_CHECKPOINT)

    @property
    def database_url(self) -> str:
        """The database of articles and rankings."""
        if self._news_url:
            return self._news_url
        assert self.postgres is not None
        return self.postgres.url(NEWS)

    @property
    def airflow(self) -> AirflowSandbox:
        """Airflow, from `start_airflow` on."""
        assert self._airflow is not None
        return self._airflow

    @property
    def settings(self) -> dict[str, str]:
        """The variables by which `rerank` and the tasks find this sitting."""
        found = {
            "RERANK_DATABASE_URL": self.database_url,
            "RERANK_STORE_URL": self._store_url,
            "RERANK_MODEL": self.model,
            # Only the 50 best of each topic, so that a laptop's CPU needs a minute.
            "RERANK_FILL_FACTOR": "1",
            **({"RERANK_MEDIA": SETTING} if self.media else {}),
            "RERANK_RETRY_SECONDS": "5",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        if Path(self.model).is_dir():
            found["HF_HUB_OFFLINE"] = "1"
        own = {name: value for name, value in os.environ.items() if name.startswith(("RERANK_", "VLLM_"))}
        return found | own | {"RERANK_MODEL": self.model}

    def start_databases(self, *, fresh: bool) -> None:
        """Start the embedded Postgres, if one is needed. `fresh` empties what is the demo's own."""
        if self.postgres is not None:
            self._open.enter_context(self.postgres)
            if fresh and not self._metadata_url:
                self.postgres.drop(METADATA)
            if not self._news_url:
                if fresh:
                    self.postgres.drop(NEWS)
                self.postgres.create(NEWS)
        if fresh and self._store_url == self.store.as_uri():
            shutil.rmtree(self.store, ignore_errors=True)
        if self._store_url == self.store.as_uri():
            self.store.mkdir(parents=True, exist_ok=True)

    def start_airflow(self) -> None:
        """Start Airflow on its metadata database; `airflow.wait_healthy()` says when it is up."""
        if self._metadata_url:
            url = self._metadata_url
        else:
            assert self.postgres is not None
            url = self.postgres.url(METADATA)
        self._airflow = AirflowSandbox(
            home=self.folder / "airflow",
            database_url=url,
            environment=self.settings,
            port=self._port,
            scheduled=self._scheduled,
            logs=self.logs,
        )
        if self._metadata_url:
            self._airflow.migrate()
        else:
            self._copy_metadata(self._airflow)
        self._open.enter_context(self._airflow)
        self._airflow.start()

    def start_reader(self) -> str:
        """Serve the example frontend beside Airflow, with the files that it reads; returns its address."""
        port = free_port(None)
        server = Server(
            name="reader",
            command=[sys.executable, "-m", "rerank_core.frontends.reader", str(port)],
            environment=dict(os.environ) | self.settings,
            log=self.logs / "reader.log",
        )
        self._open.callback(server.stop)
        return f"http://{HOST}:{port}/"

    def _copy_metadata(self, airflow: AirflowSandbox) -> None:
        """Give the sitting a metadata database: a copy of one that was migrated at the first sitting."""
        assert self.postgres is not None
        template = f"airflow_{importlib.metadata.version('apache-airflow-core')}"
        if not self.postgres.exists(template):
            # A migration that was interrupted leaves its draft, never the template.
            draft = f"{template}_draft"
            self.postgres.drop(draft)
            airflow.migrate(database_url=self.postgres.create(draft))
            self.postgres.create(template, template=draft)
            self.postgres.drop(draft)
        self.postgres.create(METADATA, template=template)

    def rerank(self, *arguments: str) -> str:
        """Run one `rerank` command on this sitting and return what it printed."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("rerank")), *arguments],
            env=dict(os.environ) | self.settings | {"NO_COLOR": "1"},
            cwd=REPOSITORY,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
            raise CommandFailed(f"rerank {' '.join(arguments)} ended with status {done.returncode}:\n{said}")
        return done.stdout.strip()


def demo_folder() -> Path:
    """RERANK_DEMO_DIR, or .demo of the checkout."""
    return Path(os.environ.get("RERANK_DEMO_DIR") or REPOSITORY / ".demo")


def _located(model: str) -> str:
    """The full path of a local checkpoint, because tasks run in other folders; a hub name as it is."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model
