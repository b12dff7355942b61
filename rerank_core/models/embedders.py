"""The embedder that the settings name: its number in the database, and the engine that runs it.

scorers.py has the same functions for the scorer.
"""

from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection

from rerank_core.models import numpy_embedder
from rerank_core.models.embedding import Embedder, EmbedderIdentity, identify
from rerank_core.models.vllm import require_vllm
from rerank_core.models.vllm_embedder import VllmEmbedder
from rerank_core.models.weights import resolve_model
from rerank_core.settings import USE_MULTILINGUAL, Settings
from rerank_core.storage import database as db


def identity(settings: Settings) -> EmbedderIdentity:
    """Which embedder the settings name, told from its files. Raises ModelError.

    If the settings give a hub name, the location is that name, not the folder that it was downloaded to.
    """
    name = settings.embedding_model
    if name == USE_MULTILINGUAL:
        return numpy_embedder.identify(max_document_tokens=settings.max_document_tokens)
    found = identify(resolve_model(name), max_document_tokens=settings.max_document_tokens)
    return found if Path(name).is_dir() else replace(found, location=name)


def register(connection: Connection, embedder: EmbedderIdentity) -> int:
    """The embedder's number in the database. An unknown embedder is added."""
    db.execute(connection, "embedders.register", **embedder.columns())
    return int(db.the(connection, "embedders.by_digest", digest=embedder.digest)["embedder_id"])


def load(settings: Settings) -> Embedder:
    """Start the settings' embedder: an engine, or numpy on the CPU.

    Raises ModelError if this host lacks the engine or the package, or if the checkpoint must not be used, EngineError if
    the engine does not start.
    """
    if settings.embedding_model == USE_MULTILINGUAL:
        return numpy_embedder.NumpyEmbedder(max_document_tokens=settings.max_document_tokens)
    require_vllm("embed")
    return VllmEmbedder(
        resolve_model(settings.embedding_model),
        max_document_tokens=settings.max_document_tokens,
        kv_cache_gib=settings.kv_cache_gib,
        gpu_memory_utilization=settings.gpu_memory_utilization,
    )
