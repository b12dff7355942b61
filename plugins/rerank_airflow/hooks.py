"""The hooks of the connection types, so that Airflow's form and its button *Test* know them.

*Test* asks what a task would ask: the hook makes the same URL, and the same part of the library uses it.
"""

from typing import Any, ClassVar

from airflow.sdk import BaseHook

from rerank_airflow import connections


class ConnectionHook(BaseHook):
    """One connection that gives one setting. A subclass says which, and how it is tried."""

    conn_name_attr = "rerank_conn_id"
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]
    setting: ClassVar[str]

    def __init__(self, rerank_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__()
        self.rerank_conn_id = rerank_conn_id or self.default_conn_name

    def get_conn(self) -> str:
        """The setting's value. Raises SettingsError if the connection does not fit."""
        return connections.value_of(self.rerank_conn_id, self.setting)

    def test_connection(self) -> tuple[bool, str]:
        """Whether what the connection names answers, and one sentence without a secret."""
        from rerank_core.errors import RerankError

        try:
            return True, self.answer(self.get_conn())
        except RerankError as error:
            return False, str(error)
        except Exception as error:  # its text may hold what the connection holds
            return False, f"{type(error).__name__}; look at the API server's log"

    def answer(self, value: str) -> str:
        """What the server says of itself. Raises what tells that it does not answer."""
        raise NotImplementedError


class PostgresHook(ConnectionHook):
    """Postgres of the articles or of the schema `rerank`."""

    conn_type, hook_name, setting = "rerank_postgres", "news-rerank: Postgres", "database_url"
    default_conn_name = "rerank_postgres_default"

    def answer(self, value: str) -> str:
        from rerank_core.storage import migrations
        from rerank_core.storage.database import Database

        found = migrations.revision(Database(value))
        return f"Postgres answers; {f'its schema is at {found}' if found else 'it has no schema rerank yet'}"


class StoreHook(ConnectionHook):
    """The folder or bucket of the artifacts."""

    conn_type, hook_name, setting = "rerank_store", "news-rerank: store", "store_url"
    default_conn_name = "rerank_store_default"

    def answer(self, value: str) -> str:
        from rerank_core.storage.store import Store

        store = Store(value)
        store.check_writable()
        return f"{store.url} takes files"


class RedisHook(ConnectionHook):
    """Redis of the hot copy."""

    conn_type, hook_name, setting = "rerank_redis", "news-rerank: Redis", "redis_url"
    default_conn_name = "rerank_redis_default"

    def answer(self, value: str) -> str:
        from rerank_core.frontends.redis_server import Server
        from rerank_core.settings import Settings

        settings = Settings.load(redis_url=value, with_secrets=False)
        with Server.open(settings, "test", settings.redis_timeout_seconds) as server:
            server.ask(("PING",))
        return "Redis answers"


class MilvusHook(ConnectionHook):
    """Milvus of the vectors."""

    conn_type, hook_name, setting = "rerank_milvus", "news-rerank: Milvus", "milvus_url"
    default_conn_name = "rerank_milvus_default"

    def answer(self, value: str) -> str:
        from rerank_core.recall.milvus import server_version

        return f"Milvus {server_version(value)} answers"


class HubHook(ConnectionHook):
    """The token of a model hub."""

    conn_type, hook_name, setting = "rerank_hub", "news-rerank: model hub", "hub_token"
    default_conn_name = "rerank_hub_default"

    def answer(self, value: str) -> str:
        from huggingface_hub import HfApi

        return f"the hub knows the token of {HfApi().whoami(token=value)['name']}"
