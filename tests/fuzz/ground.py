"""What a target stands on while it is fuzzed from the command line: a Postgres, a store, and Airflow with its views."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fuzz.targets import Room, Target, targets, warm

NEEDS_DATABASE = ("topics", "articles", "pages", "ui")


@contextmanager
def opened(name: str) -> Iterator[Target]:
    """The target of this name, with all that it needs."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="rerank-fuzz-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        warm()
        if name not in NEEDS_DATABASE:
            yield targets(Room())[name]
            return
        if name == "ui":
            import airflow_home  # before anything imports Airflow
        from rerank_core.demo.postgres import EmbeddedPostgres
        from rerank_core.frontends import contract
        from rerank_core.storage import migrations
        from rerank_core.storage.database import Database
        from rerank_core.storage.store import Store

        folder.chmod(0o755)
        (folder / "store").mkdir()
        server = stack.enter_context(EmbeddedPostgres(folder=folder / "postgres"))
        url = server.create("fuzz")
        migrations.upgrade(url, comments=contract.comments())
        store = Store((folder / "store").as_uri())
        if name != "ui":
            yield targets(Room(Database(url), store))[name]
            return
        import newsrooms

        from fuzz import addresses

        airflow_home.migrate()
        news = newsrooms.every_room(url, store.url)
        client = stack.enter_context(addresses.signed_in(url, store.url))
        views = addresses.Views(client, addresses.known(news.room))
        yield targets(Room(), views.ask, views.draw)[name]
