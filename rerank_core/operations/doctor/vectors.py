"""The doctor's checks of recall: its strategy, its embedding model, and where vectors are kept.

No check here fails: an article without a vector is recalled by words, so the page still comes out.
"""

import importlib.util

from rerank_core.errors import ModelError, RerankError
from rerank_core.operations.doctor.finding import Finding
from rerank_core.recall.strategy import in_postgres
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

OLDEST_PGVECTOR = (0, 8)
WORDS = "until then articles without a vector are recalled by words"


def check_recall(settings: Settings) -> Finding:
    """Which strategy recalls; the next two checks say whether its parts are available."""
    if not settings.recall_needs_vectors:
        return Finding("recall", "ok", f"{settings.recall}: needs no vectors")
    where = "Postgres" if in_postgres(settings) else "Milvus"
    return Finding("recall", "ok", f"{settings.recall}: vectors are kept in {where}")


def check_embedding_model(settings: Settings) -> Finding | None:
    """Whether the embedding checkpoint is complete; None if recall needs none."""
    if not settings.recall_needs_vectors:
        return None
    from rerank_core.models import embedders

    try:
        found = embedders.identity(settings)
    except ModelError as error:
        said, _, advice = str(error).rpartition("; ")
        return Finding(
            "embedding model",
            "warn",
            said or str(error),
            f"{advice or 'set RERANK_EMBEDDING_MODEL'}; {WORDS}",
        )
    return Finding("embedding model", "ok", f"{found.digest[:12]}, {found.dimensions} dimensions")


def check_vectors(settings: Settings) -> Finding | None:
    """Whether vectors can be stored; None if recall needs none."""
    if not settings.recall_needs_vectors:
        return None
    try:
        return _check_pgvector(settings) if in_postgres(settings) else _check_milvus(settings)
    except RerankError as error:
        return Finding("vectors", "warn", str(error), WORDS)


def _check_pgvector(settings: Settings) -> Finding:
    """Whether pgvector is installed, new enough, or can be made by this role."""
    with Database(settings.database_url).transaction(read_only=True) as connection:
        row = db.the(connection, "vectors.vector")
    if row["installed"] is None and row["available"] is None:
        advice = "install pgvector 0.8 or newer on the server, or set RERANK_RECALL=bm25"
        return Finding("vectors", "warn", "the database server has no pgvector", f"{advice}; {WORDS}")
    version = row["installed"] or row["available"]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_PGVECTOR:
        advice = "ALTER EXTENSION vector UPDATE, with 0.8 or newer on the server"
        return Finding("vectors", "warn", f"pgvector {version}", f"{advice}; {WORDS}")
    if row["installed"] is None and not row["may_create"]:
        advice = "let a superuser run CREATE EXTENSION vector SCHEMA rerank"
        return Finding("vectors", "warn", f"pgvector {version} is not installed here", f"{advice}; {WORDS}")
    state = "" if row["installed"] else ", which the first run makes"
    return Finding("vectors", "ok", f"pgvector {version}{state}")


def _check_milvus(settings: Settings) -> Finding:
    """Whether Milvus has an address, a client here, and answers."""
    if settings.milvus_url is None:
        advice = "set it to http://user:password@host:19530, or to a file that ends in .db"
        return Finding("vectors", "warn", "RERANK_MILVUS_URL is not set", f"{advice}; {WORDS}")
    if importlib.util.find_spec("pymilvus") is None:
        advice = "pip install 'news-rerank[milvus]'"
        return Finding("vectors", "warn", "Milvus's client is not installed here", f"{advice}; {WORDS}")
    from rerank_core.recall.milvus import server_version

    return Finding("vectors", "ok", f"Milvus {server_version(settings.milvus_url)}")
