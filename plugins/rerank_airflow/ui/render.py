"""Templates, and how they write numbers, times and links. Every value is escaped; only charts are markup already."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rerank_airflow.ui import static
from rerank_core.publish.gate import advice, command


@cache
def environment() -> Environment:
    """The templates, with their filters and functions."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "number": number,
        "logit": logit,
        "percent": percent,
        "moment": moment,
        "clock": clock,
        "age": age,
        "seconds": seconds,
        "web": web_address,
    }
    found.globals |= {
        "probability": probability,
        "approval": command,
        "gate_advice": lambda blocked: in_code(advice(blocked)),
        "now": lambda: datetime.now(UTC),
    }
    return found


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A view as an answer. In a template, `link(path, name=value)` makes an address below the app."""
    root = str(request.scope["root_path"])

    def link(path: str, **query: Any) -> str:
        return address(root + path, query)

    def here(**changes: Any) -> str:
        return address(root + request.url.path.removeprefix(root), dict(request.query_params) | changes)

    # The app is mounted one folder below Airflow.
    airflow = root.rpartition("/")[0]
    text = (
        environment()
        .get_template(template)
        .render(
            link=link,
            here=here,
            airflow=airflow,
            assets=f"{root}/static",
            digest=static.digest(),
            **values,
        )
    )
    return Response(text, status_code=status, media_type="text/html; charset=utf-8")


def in_code(text: str) -> Markup:
    """The text as markup, with code for what is written in backticks."""
    return Markup("").join(
        Markup("<code>{}</code>" if place % 2 else "{}").format(part)
        for place, part in enumerate(text.split("`"))
    )


def address(path: str, query: Mapping[str, Any]) -> str:
    """The path with the query, without values that are None or empty."""
    wanted = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(wanted)}" if wanted else path


def number(value: float | None, digits: int = 0) -> str:
    """`12,345`; a dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def logit(value: float | None) -> str:
    """`+7.55`."""
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def probability(value: float | None) -> str:
    """The probability that a logit stands for: `92 %`."""
    if value is None:
        return "–"
    share = 1 / (1 + math.exp(-max(-700.0, min(700.0, value))))
    return f"{100 * share:.1f} %"


def percent(value: float | None) -> str:
    """A share as `12.5 %`."""
    return "–" if value is None else f"{100 * value:.1f} %"


def moment(value: datetime | None) -> str:
    """`2026-11-22 17:00`, in UTC."""
    return "–" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def clock(value: datetime | None) -> str:
    """`22 Nov 17:00`, in UTC."""
    return "–" if value is None else f"{value.astimezone(UTC):%-d %b %H:%M}"


def age(value: timedelta | None) -> str:
    """`40 min`, `7 h`, `2 d 3 h`."""
    if value is None:
        return "–"
    minutes = max(0, int(value / timedelta(minutes=1)))
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def seconds(value: float | None) -> str:
    """`0.4 s`, `3 min 20 s`."""
    if value is None:
        return "–"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def web_address(value: str | None) -> str | None:
    """The address if its scheme is http or https, else None: no other scheme ever becomes a link."""
    if not value:
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme in {"http", "https"} and parts.netloc else None
