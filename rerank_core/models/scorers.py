"""The scorer that the settings name: its number in the database, and the engine that runs it.

embedders.py has the same functions for the embedder.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from rerank_core.errors import DatabaseUnavailable, InputError, ModelError
from rerank_core.models.base import Scorer
from rerank_core.models.encoding import Encoder, read_tokenizer
from rerank_core.models.identity import ScorerIdentity, identify, read_checkpoint
from rerank_core.models.prompt import CACHED_TEXTS, Prompter, prompt_digest
from rerank_core.models.vision import Bounds, make_prompter
from rerank_core.models.vllm import VllmScorer, require_vllm
from rerank_core.models.weights import resolve_model
from rerank_core.records import TokenCounter, Topic
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import renditions
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

NO_TABLE = "42P01"  # SQLSTATE undefined_table: nothing can have been promoted
CAREFUL_TOKENS = 16_384  # inside the engine at once, before a failure halves them


def identity(settings: Settings, *, verify: bool = False) -> ScorerIdentity:
    """Which scorer the settings name, told from the checkpoint's files. `verify` reads all files again.

    If the settings give a hub name, the location is that name, so that hosts without the files find the scorer by it.
    Raises ModelError if the checkpoint is missing or must not be used.
    """
    found = identify(
        resolve_model(settings.model),
        precision=settings.precision,
        max_document_tokens=settings.max_document_tokens,
        passages=settings.passages,
        bounds=bounds(settings),
        verify=verify,
    )
    return found if Path(settings.model).is_dir() else replace(found, location=settings.model)


def bounds(settings: Settings) -> Bounds:
    """How much a model of pictures reads of a document's media."""
    return Bounds(settings.picture_tokens, settings.clip_tokens, settings.media_per_article)


def register(connection: Connection, scorer: ScorerIdentity) -> int:
    """The scorer's number in the database. An unknown scorer is added."""
    db.execute(connection, "scorers.register", **scorer.columns())
    return int(db.the(connection, "scorers.by_digest", digest=scorer.digest)["scorer_id"])


def in_use(connection: Connection, settings: Settings, *, frozen_id: int | None = None) -> Settings:
    """The settings with the checkpoint that somebody has put in place of their model, if somebody has.

    A run that is frozen with the scorer `frozen_id` keeps that scorer, whoever promotes another one meanwhile.
    """
    row = db.one(
        connection,
        "scorers.promoted",
        pipeline=settings.pipeline,
        model=settings.model,
        scorer_id=frozen_id,
    )
    return settings if row is None else settings.model_copy(update={"model": row["location"]})


def in_place(settings: Settings) -> Settings:
    """As `in_use`, for who asks the scorer outside of a run: a server, a preview, the doctor.

    A host that reaches no database asks the model of the settings, and its log says so.
    """
    try:
        with Database(settings.database_url).transaction(read_only=True) as connection:
            return in_use(connection, settings)
    except (DatabaseUnavailable, SQLAlchemyError) as error:
        cause = getattr(error, "orig", error)
        if getattr(cause, "pgcode", None) != NO_TABLE:
            reason = str(cause).strip().splitlines()[0]
            log.warning("RERANK_MODEL is asked, whatever was promoted: %s", reason)
        return settings


def scorer_id(connection: Connection, settings: Settings) -> int:
    """The number of the scorer in use for these settings. An unknown scorer is added.

    A host without the checkpoint takes the scorer that was last registered under the same name, so that only GPU workers
    need the weights. Raises ModelError if there is neither.
    """
    try:
        settings = in_use(connection, settings)
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
    """The identity of the settings' scorer. Raises ModelError if the run was frozen with another scorer."""
    found = identity(settings)
    row = db.one(connection, "scorers.by_digest", digest=found.digest)
    if row is None or row["scorer_id"] != scorer_id:
        raise ModelError(
            f"the run was frozen with scorer {scorer_id}, but on this host RERANK_MODEL = {settings.model!r} is another"
            f" scorer ({found.digest[:12]}); give every worker the same checkpoint, precision, token limit and passages"
        )
    return found


def place(connection: Connection, scorer: ScorerIdentity) -> int:
    """Register a scorer; from now on, hosts without the checkpoint take this scorer for its location."""
    number = register(connection, scorer)
    db.execute(connection, "scorers.place", scorer_id=number, location=scorer.location)
    return number


def known(connection: Connection) -> list[dict[str, Any]]:
    """Every registered scorer as a row, the newest first."""
    return [dict(row) for row in db.rows(connection, "scorers.known")]


def prompter(settings: Settings, *, download: bool = True) -> Prompter:
    """What builds the prompts of the settings' scorer, to count their tokens: it reads no medium.

    Raises ModelError if the checkpoint must not be used, or, unless it may `download`, if this host has none.
    """
    folder = resolve_model(settings.model, download=download)
    return make_prompter(
        folder,
        form=read_checkpoint(folder).family.form,
        bounds=bounds(settings),
        read_medium=None,
        max_document_tokens=settings.max_document_tokens,
        passages=settings.passages,
    )


def token_counter(settings: Settings) -> TokenCounter | None:
    """Counts tokens of texts as the tokenizer of the settings' checkpoint makes them.

    None if this host has no checkpoint that may be used: nothing is downloaded.
    """
    try:
        folder = resolve_model(settings.model, download=False)
        form = read_checkpoint(folder).family.form
        specification = read_tokenizer(folder / "tokenizer.json")
        encoder = Encoder(specification, controls=form.controls)
    except ModelError:
        return None
    digest = prompt_digest(specification, form=form)
    return TokenCounter(f"tokenizer {digest[:12]}", encoder.count)


def refused_queries(settings: Settings, topics: Iterable[Topic]) -> list[str] | None:
    """A sentence for each query of active topics that the scorer refuses, alone or with its instruction.

    None if this host has no checkpoint of the settings' scorer that may be used: nothing is downloaded.
    """
    try:
        prompts = prompter(settings, download=False)
    except ModelError:
        return None
    refused: list[str] = []
    for topic in topics:
        reasons = []
        for query in (topic.query, *topic.queries.values()) if topic.active else ():
            try:
                prompts.prompt(instruction=topic.instruction, query=query, document="")
            except InputError as error:
                reasons.append(str(error).partition("; ")[0])
        refused += (f"topic {topic.slug!r}: {reason}" for reason in dict.fromkeys(reasons))
    return refused


def load(
    settings: Settings, *, failures: int = 0, pairs: int = 0, cached_texts: int = CACHED_TEXTS
) -> Scorer:
    """Start the engine of the settings' scorer, and run its canary. That takes seconds, and most of a GPU's memory.

    `pairs` is how many it will have to score: many pairs make it worth compiling the model. `failures` is how many tries
    failed before: each failure halves the tokens inside the engine at once. The ids of `cached_texts` texts are kept.

    Raises ModelError if this host has no engine, if the checkpoint must not be used or if its canary fails, EngineError
    if the engine does not start.
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
        cached_texts=cached_texts,
        bounds=bounds(settings),
        read_medium=lambda path: renditions.read(_store(settings.store_url), path),
    )


@lru_cache(1)
def _store(url: str) -> Store:
    """The store, opened when the first medium is read."""
    return Store(url)
