"""The doctor: runs every check of this host in the order in which one repairs things.

The doctor looks and changes nothing. A check that breaks is itself a finding and does not hide the others. This module
checks what runs share: database, schema, topics, article source, view of events, clock, store, Redis. The other modules check
scoring (`scoring.py`), recall (`vectors.py`), the page (`page.py`), Airflow's DAGs (`dags.py`), the times of the settings
(`times.py`), what is installed (`versions.py`) and the rest of the host (`host.py`).
"""

from datetime import UTC, datetime

from sqlalchemy import RowMapping

from rerank_core.errors import RerankError
from rerank_core.frontends import redis_copy
from rerank_core.learning import events
from rerank_core.models import scorers
from rerank_core.operations.doctor.dags import check_dags
from rerank_core.operations.doctor.finding import Check, Finding, State
from rerank_core.operations.doctor.host import (
    check_disk,
    check_executor,
    check_hosts,
    check_metrics,
    check_variables,
)
from rerank_core.operations.doctor.media import check_media
from rerank_core.operations.doctor.page import check_page, check_page_file
from rerank_core.operations.doctor.scoring import (
    check_engine,
    check_gpu,
    check_light_order,
    check_memory,
    check_scorer,
)
from rerank_core.operations.doctor.silence import check_silence
from rerank_core.operations.doctor.times import check_times
from rerank_core.operations.doctor.vectors import check_embedding_model, check_recall, check_vectors
from rerank_core.operations.doctor.versions import check_versions
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import migrations, topics
from rerank_core.storage.database import Database
from rerank_core.storage.source import Source
from rerank_core.storage.store import Store

NAMED = 3  # refused queries that a finding names
OLDEST_POSTGRES = 14
SKEW_WARN_SECONDS = 2.0
SKEW_FAIL_SECONDS = 60.0
GRANTS = "if `rerank db roles --print` made the roles, apply it again, as after every upgrade; otherwise grant the right"
NOT_PERMITTED = "42501"  # SQLSTATE insufficient_privilege


def examine(settings: Settings) -> list[Finding]:
    """Run every check, in the order in which one repairs things. Raises nothing."""
    database = _guarded("database", _check_database, settings)
    findings = [database]
    in_place = scorers.in_place(settings) if database and database.state != "fail" else settings
    for name, check in _CHECKS.items():
        if (
            (database and database.state != "fail")
            or check not in _NEED_DATABASE
            or (check is _check_source and settings.source_url)
        ):
            findings.append(_guarded(name, check, in_place if check in _OF_SCORER else settings))
        else:
            findings.append(
                Finding(name, "warn", "not checked: the database is not available", "repair that first")
            )
    return [finding for finding in findings if finding is not None]


def _guarded(name: str, check: Check, settings: Settings) -> Finding | None:
    """What a check found; if the check raises, a finding that says so."""
    try:
        return check(settings)
    except RerankError as error:
        clauses = str(error).split("; ")  # what is wrong; what to do
        found, advice = clauses if len(clauses) == 2 else (str(error), "")
        return Finding(name, "fail", found, advice)
    except Exception as error:  # a check that breaks is itself a finding
        if getattr(getattr(error, "orig", None), "pgcode", None) == NOT_PERMITTED:
            reason = str(getattr(error, "orig", "")).strip().splitlines()[0]
            return Finding(name, "fail", f"the database refuses this role: {reason}", GRANTS)
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        return Finding(name, "fail", f"the check broke: {type(error).__name__}: {reason}", "remove the cause")


def _check_database(settings: Settings) -> Finding:
    """Whether the database answers, is new enough, and lets a long claim end."""
    server, _ = _server(settings)
    found = f"PostgreSQL {server['version']}, database {server['name']}"
    if server["version_number"] < OLDEST_POSTGRES * 10_000:
        return Finding("database", "fail", found, f"upgrade it to PostgreSQL {OLDEST_POSTGRES} or newer")
    if server["limits"]:
        advice = "remove the limit from the role of RERANK_DATABASE_URL, or make it an hour: ALTER ROLE … SET … = 0"
        return Finding(
            "database", "warn", f"{found}; {server['limits']} ends a long claim or publication", advice
        )
    return Finding("database", "ok", found)


def _check_schema(settings: Settings) -> Finding:
    """Whether the schema is at the migration that this library needs."""
    found, head = migrations.revision(Database(settings.database_url)), migrations.head_revision()
    if found == head:
        return Finding("schema", "ok", f"at its newest migration, {head}")
    if found is None:
        return Finding("schema", "fail", "no migration was applied", "run `rerank db upgrade`")
    if found < head:
        return Finding(
            "schema", "fail", f"at migration {found}; the newest is {head}", "run `rerank db upgrade`"
        )
    return Finding(
        "schema",
        "fail",
        f"at migration {found}, newer than this library's {head}",
        "upgrade news-rerank here",
    )


def _check_topics(settings: Settings) -> Finding:
    """Whether the pipeline has topics, and the scorer takes their queries."""
    database = Database(settings.database_url)
    if not migrations.is_newest(database):
        return Finding("topics", "warn", "not checked: the schema is another version", "repair that first")
    with database.transaction(read_only=True) as connection:
        active = topics.current_topics(connection, settings.pipeline)
    if not active:
        advice = "`rerank topics apply FILE` brings some"
        return Finding("topics", "warn", f"none is active in pipeline {settings.pipeline}", advice)
    refused = scorers.refused_queries(settings, active)
    if refused:
        more = f" and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
        found = f"the model refuses queries: {', '.join(refused[:NAMED])}{more}"
        advice = "shorten them in the topics file, and run `rerank topics apply FILE`"
        return Finding("topics", "fail", found, advice, stops_runs=False)
    unchecked = "" if refused is not None else ", of unknown length: the model is not on this host"
    return Finding("topics", "ok", f"{len(active):,} active in pipeline {settings.pipeline}{unchecked}")


def _check_source(settings: Settings) -> Finding:
    """Whether the article source keeps its contract and may be read."""
    view = settings.source_view
    if not Source.of(settings).is_readable():
        advice = f"GRANT SELECT ON {view} TO the role that RERANK_DATABASE_URL or RERANK_SOURCE_URL names"
        return Finding("article source", "fail", f"{view} may not be read", advice)
    return Finding("article source", "ok", f"{view} has every column, with its type")


def _check_feedback(settings: Settings) -> Finding | None:
    """Whether the view of readers' events keeps its contract and may be read; None if there is none."""
    view = events.check_view(settings)
    return (
        None
        if view is None
        else Finding("feedback view", "ok", f"{view} has the columns of an event, and no other")
    )


def _check_clock(settings: Settings) -> Finding:
    """How far this host's clock is from the database's."""
    server, local = _server(settings)
    skew = (server["now"] - local).total_seconds()
    found = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the database"
    if abs(skew) > SKEW_WARN_SECONDS:
        state: State = "fail" if abs(skew) > SKEW_FAIL_SECONDS else "warn"
        return Finding("clock", state, found, "run a time service (chrony, systemd-timesyncd) on both hosts")
    return Finding("clock", "ok", found)


def _server(settings: Settings) -> tuple[RowMapping, datetime]:
    """What the server says of itself, and this host's time when the server said so."""
    with Database(settings.database_url).transaction(read_only=True) as connection:
        before = datetime.now(UTC)
        server = db.the(connection, "examine.server")
        after = datetime.now(UTC)
    return server, before + (after - before) / 2


def _check_store(settings: Settings) -> Finding:
    """Whether the store takes files, and its URL shows no credentials."""
    store = Store(settings.store_url)
    store.check_writable()
    found = f"{store.full_path('')} takes files; every worker must see this same folder"
    if store.has_credentials and not settings.store_conn_id:
        advice = "put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: a URL is easily shown"
        return Finding("store", "warn", f"{found}; RERANK_STORE_URL contains credentials", advice)
    return Finding("store", "ok", found)


def _check_redis(settings: Settings) -> Finding | None:
    """Whether the hot copy shows what frontends see; None if the settings ask for no copy."""
    if settings.redis_url is None:
        return None
    try:
        copy = redis_copy.examine(database=Database(settings.database_url), settings=settings)
    except RerankError as error:  # runs go on without the copy
        found, _, advice = str(error).rpartition("; ")
        return Finding("redis", "warn", found, advice)
    advice = "the next run mends it; `rerank redis sync` does at once"
    if copy.page is None:
        return Finding("redis", "ok", f"{copy.address}; there is no page to copy yet")
    if copy.publication_id is None:
        return Finding("redis", "warn", f"{copy.address} has no copy of publication {copy.page}", advice)
    if copy.publication_id != copy.page:
        found = f"{copy.address} shows publication {copy.publication_id}, frontends see {copy.page}"
        return Finding("redis", "warn", found, advice)
    if not copy.right:
        found = (
            f"{copy.address} shows publication {copy.page}, not what frontends see of it: a block came since"
        )
        return Finding("redis", "warn", found, advice)
    if copy.lost:
        return Finding("redis", "warn", f"{copy.address} has lost {copy.lost} of its keys", advice)
    return Finding("redis", "ok", f"{copy.address} shows publication {copy.page}, as frontends see it")


_CHECKS: dict[str, Check] = {
    "schema": _check_schema,
    "versions": check_versions,
    "topics": _check_topics,
    "page": check_page,
    "article source": _check_source,
    "feedback view": _check_feedback,
    "media": check_media,
    "clock": _check_clock,
    "store": _check_store,
    "page file": check_page_file,
    "disk": check_disk,
    "redis": _check_redis,
    "scorer": check_scorer,
    "light order": check_light_order,
    "engine": check_engine,
    "gpu": check_gpu,
    "memory": check_memory,
    "executor": check_executor,
    "hosts": check_hosts,
    "recall": check_recall,
    "embedding model": check_embedding_model,
    "vectors": check_vectors,
    "times": check_times,
    "silence": check_silence,
    "dags": check_dags,
    "metrics": check_metrics,
    "variables": check_variables,
}
_OF_SCORER = frozenset({_check_topics, check_scorer, check_memory})  # they look at what was promoted
_NEED_DATABASE = frozenset(
    {
        _check_schema,
        check_versions,
        _check_topics,
        check_page,
        check_page_file,
        _check_source,
        check_media,
        _check_clock,
        check_silence,
        check_hosts,
    }
)
