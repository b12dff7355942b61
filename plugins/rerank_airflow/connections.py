"""A connection of Airflow → the value of a secret setting. `rerank_core.setting_sources` asks for it, by this module's name.

Airflow looks into its secrets backends, its environment and, where a process may, its database. Airflow masks what it found in the
logs of tasks; a password that is percent-encoded in a URL is another text, and is masked here.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from rerank_core.errors import RetryableError, SettingsError

# The parameters of libpq that an extra may set, and those extras of Airflow's own hooks that change no URL.
LIBPQ = frozenset(
    "application_name channel_binding connect_timeout gssencmode keepalives keepalives_count keepalives_idle keepalives_interval"
    " options sslcert sslcrl sslkey sslmode sslrootcert target_session_attrs tcp_user_timeout".split()
)
OF_POSTGRES_HOOK = frozenset("cursor database_name enable_log_db_messages sqlalchemy_scheme".split())
REDIS = frozenset("ssl_ca_certs ssl_cert_reqs ssl_certfile ssl_check_hostname ssl_keyfile".split())
STORE = frozenset("allow_delayed_open endpoint_override region scheme".split())


def value_of(conn_id: str, setting: str) -> str:
    """The value of a setting as the connection gives it.

    Raises SettingsError if there is no such connection here, or it does not fit the setting; RetryableError if Airflow
    does not answer. No message shows a value of the connection.
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = Connection.get(conn_id)
    except AirflowNotFoundException:
        raise SettingsError(
            "Airflow finds no such connection here; add it to a secrets backend, as a variable AIRFLOW_CONN_…, or by `airflow"
            " connections add`, which only Airflow's own processes see"
        ) from None
    except Exception as error:
        raise RetryableError(
            f"Airflow did not give the connection ({type(error).__name__}); try again, or look at its secrets backend"
        ) from None
    types, write = SETTINGS[setting]
    if connection.conn_type not in types:
        raise SettingsError(
            f"the connection has type {connection.conn_type!r}; it must be {' or '.join(types)}"
        )
    value = write(connection)
    mask(value)
    return value


def mask(value: str) -> None:
    """Have Airflow mask the password of a URL in each log, as it is and as the URL writes it; a text that is no URL whole."""
    from airflow.sdk.log import mask_secret

    if "://" not in value:
        mask_secret(value)
    elif "@" in value and (encoded := urlsplit(value).password):
        for text in {encoded, unquote(encoded)}:
            mask_secret(text)


def _postgres(connection: Any) -> str:
    """A SQLAlchemy URL. A host that begins with / is the folder of a socket."""
    extra = {name: value for name, value in _extra(connection).items() if name not in OF_POSTGRES_HOOK}
    options = _known(extra, takes=LIBPQ)
    host = connection.host or "localhost"
    if host.startswith("/"):
        options, host = {"host": host, **options}, ""
    place = f"{_bracketed(host)}{_port(connection)}/{quote(connection.schema or '', safe='')}"
    return f"postgresql+psycopg2://{_user(connection)}{place}{_query(options)}"


def _store(connection: Any) -> str:
    """A store's URL: host is the bucket, schema the folder in it; login and password are the key and its secret."""
    extra = _extra(connection)
    protocol = extra.pop("protocol", "s3" if connection.host else "file")
    folder = quote((connection.schema or "").strip("/"))
    if protocol == "file":
        return f"file:///{folder}"
    if protocol not in {"s3", "gs"} or not connection.host:
        raise SettingsError(
            "the connection names no store; its host is a bucket, its schema the folder, and its extra `protocol` s3, gs or file"
        )
    options = _known(extra, takes=STORE)
    return f"{protocol}://{_user(connection)}{connection.host}/{folder}{_query(options)}".replace("/?", "?")


def _redis(connection: Any) -> str:
    extra = _extra(connection)
    database = extra.pop("db", None) or connection.schema or 0
    scheme = "rediss" if _is_true(extra.pop("ssl", False)) else "redis"
    options = _known(extra, takes=REDIS)
    host = _bracketed(connection.host or "localhost")
    return f"{scheme}://{_user(connection)}{host}{_port(connection)}/{database}{_query(options)}"


def _milvus(connection: Any) -> str:
    extra = _extra(connection)
    scheme = "https" if _is_true(extra.pop("secure", False)) else "http"
    _known(extra, takes=frozenset())
    return f"{scheme}://{_user(connection)}{_bracketed(connection.host or 'localhost')}{_port(connection)}"


def _hub(connection: Any) -> str:
    if not connection.password:
        raise SettingsError("the connection has no password; the token belongs there")
    return str(connection.password)


SETTINGS: Mapping[str, tuple[tuple[str, ...], Callable[[Any], str]]] = {
    "database_url": (("rerank_postgres", "postgres"), _postgres),
    "source_url": (("rerank_postgres", "postgres"), _postgres),
    "store_url": (("rerank_store",), _store),
    "redis_url": (("rerank_redis", "redis"), _redis),
    "milvus_url": (("rerank_milvus",), _milvus),
    "hub_token": (("rerank_hub",), _hub),
}


def _extra(connection: Any) -> dict[str, Any]:
    """The extra, without what the form of Airflow's UI left empty."""
    return {name: value for name, value in connection.extra_dejson.items() if value not in (None, "")}


def _known(extra: Mapping[str, Any], *, takes: frozenset[str]) -> dict[str, Any]:
    """The extra, if each name is one that the setting takes: a misspelt `sslmode` must not mean none."""
    wrong = sorted(set(extra) - takes)
    if wrong:
        raise SettingsError(
            f"the connection's extra has {wrong[0]!r}, which this setting does not take; remove it"
        )
    return dict(extra)


def _is_true(value: object) -> bool:
    return str(value).lower() in {"true", "1", "yes"}


def _user(connection: Any) -> str:
    """`login:password@` with each sign percent-encoded; empty if there is neither."""
    login, password = connection.login or "", connection.password or ""
    if not login and not password:
        return ""
    return f"{quote(login, safe='')}{':' if password else ''}{quote(password, safe='')}@"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port(connection: Any) -> str:
    return f":{connection.port}" if connection.port else ""


def _query(options: Mapping[str, Any]) -> str:
    written = {
        name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()
    }
    return f"?{urlencode(written)}" if written else ""
