"""What Airflow's providers manager learns of the package: connection types, hooks, operators and links.

Airflow calls `provider_info` in each component, so this module imports nothing.
"""

from typing import Any

_USER = {"schema": "Database", "login": "User"}
_OPERATORS = (
    "announce",
    "arrival",
    "base",
    "doctor",
    "learning",
    "maintenance",
    "overdue",
    "stages",
    "watch",
)


def provider_info() -> dict[str, Any]:
    """Provider information in the form of Airflow's provider_info.schema.json."""
    return {
        "package-name": "news-rerank",
        "name": "news-rerank",
        "description": "Ranks news for stored topics, on a schedule.",
        "connection-types": [
            _type("rerank_postgres", "Postgres", "PostgresHook", {"sslmode": "sslmode of libpq"}, _USER),
            _type(
                "rerank_store",
                "store",
                "StoreHook",
                {
                    "protocol": "s3, gs or file",
                    "region": "Region",
                    "endpoint_override": "Endpoint of another store than Amazon's",
                    "scheme": "http for an endpoint without TLS",
                },
                {"host": "Bucket", "schema": "Folder", "login": "Access key", "password": "Secret key"},
                hidden=["port"],
            ),
            _type(
                "rerank_redis",
                "Redis",
                "RedisHook",
                {"db": "Database", "ssl": "true for TLS"},
                {},
                hidden=["schema"],
            ),
            _type("rerank_milvus", "Milvus", "MilvusHook", {"secure": "true for TLS"}, {}, hidden=["schema"]),
            _type(
                "rerank_hub",
                "model hub",
                "HubHook",
                {},
                {"password": "Token"},
                hidden=["host", "schema", "login", "port", "extra"],
            ),
        ],
        "hooks": [{"integration-name": "news-rerank", "python-modules": ["rerank_airflow.hooks"]}],
        "operators": [
            {
                "integration-name": "news-rerank",
                "python-modules": [f"rerank_airflow.operators.{name}" for name in _OPERATORS],
            }
        ],
        "extra-links": ["rerank_airflow.links.RankingRunLink"],
    }


def _type(
    name: str,
    title: str,
    hook: str,
    fields: dict[str, str],
    labels: dict[str, str],
    *,
    hidden: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "connection-type": name,
        "hook-name": f"news-rerank: {title}",
        "hook-class-name": f"rerank_airflow.hooks.{hook}",
        "conn-fields": {
            field: {"label": label, "schema": {"type": ["string", "null"]}} for field, label in fields.items()
        },
        "ui-field-behaviour": {"hidden-fields": hidden or [], "relabeling": labels, "placeholders": {}},
    }
