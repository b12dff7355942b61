"""The scorer that a pipeline's settings name: its number in the database, and the engine that runs it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from rerank_core.errors import ModelError
from rerank_core.models.base import Scorer
from rerank_core.models.identity import ScorerIdentity, identify, read_checkpoint
from rerank_core.models.prompt import Prompter
from rerank_core.models.vllm import VllmScorer, require_vllm
from rerank_core.models.weights import resolve_model
from rerank_core.settings import Settings
from rerank_core.storage import database as db

CAREFUL_TOKENS = 16_384  # inside the engine at once; the first failure halves this


def identity(settings: Settings, *, verify: bool = False) -> ScorerIdentity:
    """Which scorer the settings name, told from the checkpoint's files; `verify` reads all of them. Raises ModelError.

    Its location is the settings' own name for it, so that hosts without the files find it by that.
    """
    folder = resolve_model(settings.model)
    found = identify(
        folder,
        precision=settings.precision,
        max_document_tokens=settings.max_document_tokens,
        passages=settings.passages,
        verify=verify,
    )
    return found if Path(settings.model).is_dir() else replace(found, location=settings.model)


def register(connection: Connection, found: ScorerIdentity) -> int:
    """The scorer's number; a scorer that is not known yet is added."""
    db.execute(connection, "scorers.register", **found.columns())
    return int(db.the(connection, "scorers.by_digest", digest=found.digest)["scorer_id"])


def scorer_id(connection: Connection, settings: Settings) -> int:
    """The number of the settings' scorer, registered where it is new.

    A host without the checkpoint takes the one that was last registered from the same place, so that
    only GPU workers need the weights. Raises ModelError where neither is to be had.
    """
    try:
        return register(connection, identity(settings))
    except ModelError:
        if Path(settings.model).is_dir():
            raise
        row = db.one(
            connection,
            "scorers.by_location",
            location=settings.model,
            max_document_tokens=settings.max_document_tokens,
            passages=settings.passages,
        )
        if row is None:
            raise
        return int(row["scorer_id"])


def expect(connection: Connection, settings: Settings, scorer_id: int) -> ScorerIdentity:
    """The settings' scorer. Raises ModelError where the run was frozen with another one."""
    found = identity(settings)
    row = db.one(connection, "scorers.by_digest", digest=found.digest)
    if row is None or row["scorer_id"] != scorer_id:
        raise ModelError(
            f"the run was frozen with scorer {scorer_id}, but RERANK_MODEL = {settings.model!r} is"
            f" {found.digest[:12]} here; give every worker the same checkpoint, precision, token limit and passages"
        )
    return found


def place(connection: Connection, found: ScorerIdentity) -> int:
    """As `register`; and hosts that lack the checkpoint take this one for its location from now on."""
    number = register(connection, found)
    db.execute(connection, "scorers.place", scorer_id=number, location=found.location)
    return number


def known(connection: Connection) -> list[dict[str, Any]]:
    """Every registered scorer, the newest first."""
    return [dict(row) for row in db.rows(connection, "scorers.known")]


def prompter(settings: Settings) -> Prompter:
    """What builds the prompts of the settings' scorer."""
    folder = resolve_model(settings.model)
    return Prompter(
        folder / "tokenizer.json",
        max_document_tokens=settings.max_document_tokens,
        form=read_checkpoint(folder).family.form,
        passages=settings.passages,
    )


def load(settings: Settings, *, failures: int = 0, pairs: int = 0) -> Scorer:
    """Start the engine of the settings' scorer and run its canary: seconds, and the GPU's memory.

    `pairs` that it will have to score decide whether compiling the model pays. Each of the `failures` of tries before halves what is inside the engine at once. Raises ModelError for a checkpoint
    that must not be used, and where no engine is installed.
    """
    require_vllm("score")
    return VllmScorer(
        resolve_model(settings.model),
        precision=settings.precision,
        max_document_tokens=settings.max_document_tokens,
        passages=settings.passages,
        kv_cache_gib=settings.kv_cache_gib,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        in_flight_tokens=max(1024, CAREFUL_TOKENS >> failures) if failures else None,
        eager={"always": False, "never": True}.get(settings.compile),
        expected_pairs=pairs,
    )
