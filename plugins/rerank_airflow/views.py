"""The place of the views in Airflow: where they are mounted, and the entries that lead to them.

Airflow imports this module in every component and in each task. Only the API server imports the views themselves, at
the first request for one of them.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any

PREFIX = "/news-rerank"
PROBE = "/rerank"  # /rerank/health

Scope = MutableMapping[str, Any]


class LazyViews:
    """The ASGI app of the views, made at the first request."""

    async def __call__(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[Scope]],
        send: Callable[[Scope], Awaitable[None]],
    ) -> None:
        await self.app(scope, receive, send)

    @cached_property
    def app(self) -> Callable[..., Awaitable[None]]:
        """The app itself."""
        from rerank_airflow.ui.app import build

        return build()


class LazyProbe(LazyViews):
    """The ASGI app of the probe, made at the first request."""

    @cached_property
    def app(self) -> Callable[..., Awaitable[None]]:
        """The app itself."""
        from rerank_airflow.ui.probe import build

        return build()


APPS = [
    {"app": LazyViews(), "url_prefix": PREFIX, "name": "news-rerank"},
    {"app": LazyProbe(), "url_prefix": PROBE, "name": "news-rerank health"},
]

# Addresses are relative to Airflow's own base, which may be a folder of a host.
_ENTRY = {
    "icon": f"{PREFIX[1:]}/static/icon.svg",
    "icon_dark_mode": f"{PREFIX[1:]}/static/icon-dark.svg",
}
EXTERNAL_VIEWS = [
    {
        "name": "Rankings",
        "href": f"{PREFIX[1:]}/rankings",
        "destination": "nav",
        "url_route": "rankings",
        "nav_top_level": True,
        **_ENTRY,
    },
    {
        "name": "Ranking health",
        "href": f"{PREFIX[1:]}/health",
        "destination": "nav",
        "category": "browse",
        "url_route": "ranking-health",
        **_ENTRY,
    },
    {
        "name": "Ranking run",
        "href": f"{PREFIX[1:]}/dag-run?dag_id={{DAG_ID}}&dag_run_id={{RUN_ID}}",
        "destination": "dag_run",
        "url_route": "ranking-run",
        **_ENTRY,
    },
]
