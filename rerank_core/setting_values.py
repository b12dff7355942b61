"""What a setting may hold: the types of its values. No message shows a part of a value that can hold a secret."""

import re
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

SLUG = r"^[a-z0-9][a-z0-9_-]{0,62}$"
# A name in SQL. What a quoted name may hold ends no quotes, is no placeholder, and ends no $-quoted text.
_NAME = r'[A-Za-z_][A-Za-z0-9_]*|"[\w .-]+"'
_ENCODE = "percent-encode signs such as @, #, ? and / in a password"


def relation_names(value: str) -> list[str]:
    """The names of a relation, as Postgres reads them: without quotes, a name is folded to lower case."""
    return [name[1:-1] if name.startswith('"') else name.lower() for name in re.findall(_NAME, value)]


def _check_cron(value: str) -> str:
    from croniter import croniter  # type: ignore[import-untyped, unused-ignore]

    try:
        if len(value.split()) not in {1, 5}:  # with a field of seconds Airflow would start a run each second
            raise ValueError
        croniter(value).get_next()  # the 31st of February is read, and never comes
    except (ValueError, KeyError):
        raise ValueError("this is no cron expression of five fields, such as 0 * * * *, or @hourly") from None
    return value


def _check_slug(value: str) -> str:
    if not re.fullmatch(SLUG, value):
        raise ValueError("this is not 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit")
    return value


def _check_relation(value: str) -> str:
    if not re.fullmatch(rf"(?:{_NAME})(?:\.(?:{_NAME}))?", value):
        raise ValueError(
            "this is not a view's or table's name of letters a-z, digits and _ that begins with no digit, with or"
            " without its schema and a dot before it; a name with capitals, blanks or other letters needs double"
            ' quotes, such as public."Feed"'
        )
    return value


def _check_folder(value: str) -> str:
    if not re.fullmatch(r"(?:[a-z0-9][a-z0-9._-]{0,99}/){1,4}", value):
        raise ValueError(
            "this is no folder of the store; write one to four names of a-z, 0-9, `.`, - and _, each with a slash after it,"
            " such as incoming/"
        )
    return value


def _check_model(value: str) -> str:
    if "://" in value:  # with the user and token that it may hold, every message of the model would show it
        raise ValueError("this is a URL; give a local folder, or a hub name such as owner/name")
    return value


def _with_driver(value: str) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in {"postgresql+psycopg2", "postgresql", "postgres"}:
        raise ValueError("this is no Postgres URL; write postgresql+psycopg2://user@host/name")
    url = f"postgresql+psycopg2://{rest}"
    try:
        host = make_url(url).host or ""
    except (ArgumentError, ValueError):
        raise ValueError("its user, host, port or name cannot be read; check the part after ://") from None
    if "@" in host:  # the driver would name the rest of the password as a host
        raise ValueError(f"its host cannot be read; {_ENCODE}")
    return url


def _check_url(value: str, schemes: set[str], form: str) -> str:
    try:
        parts = urlsplit(value)
        there = parts.path if parts.scheme == "unix" else parts.hostname
        if parts.scheme not in schemes or not there or parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError(f"this cannot be read; write {form}, and {_ENCODE}") from None
    if parts.scheme != "unix" and "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(f"its host cannot be read; {_ENCODE}")
    return value


_check_redis = partial(
    _check_url, schemes={"redis", "rediss", "unix"}, form="redis://user:password@host:6379/0"
)
_check_http = partial(_check_url, schemes={"http", "https"}, form="https://news.example/feeds/")


def _check_milvus(value: str) -> str:
    if value.endswith(".db") and "://" not in value:  # a file of Milvus Lite
        return value
    return _check_url(value, {"http", "https", "tcp", "unix"}, "http://user:password@host:19530")


Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Cron = Annotated[str, AfterValidator(_check_cron)]
Slug = Annotated[str, AfterValidator(_check_slug)]
Relation = Annotated[str, AfterValidator(_check_relation)]  # a view or table, with or without its schema
StoreFolder = Annotated[str, AfterValidator(_check_folder)]  # below the store's root, with a slash at the end
Model = Annotated[str, AfterValidator(_check_model)]  # a folder, or a name on the hub
PostgresUrl = Annotated[str, AfterValidator(_with_driver)]
RedisUrl = Annotated[str, AfterValidator(_check_redis)]
HttpUrl = Annotated[str, AfterValidator(_check_http)]
MilvusUrl = Annotated[str, AfterValidator(_check_milvus)]
