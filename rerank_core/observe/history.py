"""What the views and signals show of runs and publications. No statement here changes anything.

A view reads in one snapshot, so that it never mixes two publications. No statement runs longer than
STATEMENT_SECONDS, because a view must not be a burden to the runs. A view asks for "the current publication"
once; every later query names the publication by its id.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from rerank_core.errors import SettingsError
from rerank_core.observe.history_records import (
    Copy,
    CurrentPublication,
    Medium,
    Publication,
    PublicationChoice,
    Quarantined,
    Revision,
    Row,
    RunRow,
    RunTopic,
    ScorerRow,
    ShardScores,
    SourceCounts,
    Standing,
    Texts,
    TopicOrder,
    TopicStanding,
    Unfinished,
    Version,
)
from rerank_core.records import TopicState
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.languages import same_language

STATEMENT_SECONDS = 5
SHOWN_CHARACTERS = 20_000  # of a raw or prepared text
BINS = 20  # of a topic's logits, from -10 to 10
_NO_SCHEMA = {"3F000", "42P01", "42703"}  # schema, table or column does not exist
_NOT_ALLOWED = "42501"


class NotMigrated(SettingsError):
    """The database lacks the schema, or has an older one."""


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """One read-only snapshot.

    Raises DatabaseUnavailable if the server is away or a statement takes too long, NotMigrated if
    the schema is missing or old, SettingsError if the role may not read the schema.
    """
    try:
        with database.transaction(read_only=True) as connection:
            db.the(connection, "history.limit_time", longest=f"{STATEMENT_SECONDS}s")
            yield connection
    except ProgrammingError as error:
        code = getattr(error.orig, "pgcode", None)
        if code == _NOT_ALLOWED:
            raise SettingsError(
                "the database role may not read the schema; use the one that runs the pipeline"
            ) from error
        if code not in _NO_SCHEMA:
            raise
        raise NotMigrated(
            "the database has no schema of this version; run `rerank db upgrade` with the same settings"
        ) from error


def find_publication(
    connection: Connection, *, pipeline: str, publication_id: int | None
) -> Publication | None:
    """The publication with this id, or, if the id is None, the one that frontends see; None if there is none."""
    row = db.one(connection, "history.publication", pipeline=pipeline, publication_id=publication_id)
    return None if row is None else Publication(**row)


def current_publication(database: Database, *, pipeline: str) -> CurrentPublication | None:
    """The publication that frontends see, in a snapshot of its own; None if nothing is published yet."""
    with reading(database) as connection:
        row = db.one(connection, "history.current_publication", pipeline=pipeline)
    return None if row is None else CurrentPublication(**row)


def publication_at(connection: Connection, *, pipeline: str, at: datetime) -> int | None:
    """Id of the publication that frontends saw at this time; None if nothing was published before it."""
    row = db.one(connection, "history.publication_at", pipeline=pipeline, at=at)
    return None if row is None else int(row["publication_id"])


def list_publications(connection: Connection, *, pipeline: str, limit: int = 40) -> list[PublicationChoice]:
    """The latest publications, the newest as-of time first."""
    found = db.rows(connection, "history.publications", pipeline=pipeline, limit=limit)
    return [PublicationChoice(**row) for row in found]


def count_states(connection: Connection, *, publication_id: int) -> dict[TopicState, int]:
    """Topics by state."""
    return {
        row["state"]: row["topics"]
        for row in db.rows(connection, "history.states", publication_id=publication_id)
    }


def list_languages(connection: Connection, *, publication_id: int) -> list[str]:
    """Languages of a publication's rows."""
    return [row["lang"] for row in db.rows(connection, "history.languages", publication_id=publication_id)]


def list_topics(
    connection: Connection,
    *,
    publication_id: int,
    slug: str | None = None,
    state: str | None = None,
    limit: int,
    offset: int = 0,
) -> list[TopicStanding]:
    """Topics of a publication in order of their slugs: `limit` of them from `offset` on."""
    found = db.rows(
        connection,
        "history.topics",
        publication_id=publication_id,
        slug=slug,
        state=state,
        limit=limit,
        offset=offset,
    )
    return [TopicStanding(**row) for row in found]


def list_rows(
    connection: Connection,
    *,
    pipeline: str,
    publication_id: int,
    before_id: int | None,
    slugs: Sequence[str] | None = None,
    top: int = 1_000_000,
    lang: str | None = None,
    q: str | None = None,
    limit: int,
    offset: int = 0,
) -> list[Row]:
    """Rows in (topic, rank) order: `limit` of them from `offset` on. `q` is searched in title, source and topic."""
    found = db.rows(
        connection,
        "history.rows",
        pipeline=pipeline,
        publication_id=publication_id,
        before_id=before_id,
        slugs=None if slugs is None else list(slugs),
        top=top,
        lang=lang,
        q=q,
        limit=limit,
        offset=offset,
    )
    return [Row(**row) for row in found]


def known_topics(connection: Connection, *, publication_id: int | None, slugs: Sequence[str]) -> set[str]:
    """Those of the topics that the publication has."""
    if publication_id is None:
        return set()
    found = db.rows(connection, "history.known_topics", publication_id=publication_id, slugs=list(slugs))
    return {row["slug"] for row in found}


def list_orders(connection: Connection, *, publication_id: int) -> list[TopicOrder]:
    """Every topic's articles in order."""
    return [TopicOrder(**row) for row in db.rows(connection, "history.orders", publication_id=publication_id)]


def list_runs(connection: Connection, *, pipeline: str, limit: int, offset: int = 0) -> list[RunRow]:
    """Runs, the latest first: `limit` of them from `offset` on."""
    found = db.rows(connection, "history.runs", pipeline=pipeline, run_id=None, limit=limit, offset=offset)
    return [RunRow(**row) for row in found]


def find_run(connection: Connection, *, pipeline: str, run_id: int) -> RunRow | None:
    """The run with this id in the pipeline."""
    row = db.one(connection, "history.runs", pipeline=pipeline, run_id=run_id, limit=1, offset=0)
    return None if row is None else RunRow(**row)


def run_of_key(connection: Connection, *, pipeline: str, key: str) -> int | None:
    """Id of the run with this key."""
    row = db.one(connection, "history.run_of_key", pipeline=pipeline, key=key)
    return None if row is None else int(row["run_id"])


def source_counts(connection: Connection, *, run_id: int) -> SourceCounts:
    """Where each row of the source went; all null before the run has claimed."""
    row = db.the(connection, "history.source_counts", run_id=run_id)
    return SourceCounts(**row)


def metrics(connection: Connection, *, run_ids: Sequence[int]) -> dict[int, dict[str, dict[str, float]]]:
    """What the stages recorded: run → stage → name → value. A shard is a stage, `rerank[0]`."""
    found: dict[int, dict[str, dict[str, float]]] = {run_id: {} for run_id in run_ids}
    for row in db.rows(connection, "history.metrics", run_ids=list(run_ids)):
        found[row["run_id"]].setdefault(row["stage"], {})[row["name"]] = row["value"]
    return found


def list_shards(connection: Connection, *, run_id: int) -> list[ShardScores]:
    """What the ledger has of each of a run's shards."""
    return [ShardScores(**row) for row in db.rows(connection, "history.shards", run_id=run_id)]


def list_unfinished(connection: Connection, *, run_id: int) -> list[Unfinished]:
    """Attempts at a run's shards that began and did not end."""
    return [Unfinished(**row) for row in db.rows(connection, "history.unfinished", run_id=run_id)]


def find_scorer(connection: Connection, *, scorer_id: int | None) -> ScorerRow | None:
    """The scorer with this id."""
    row = db.one(connection, "history.scorer", scorer_id=scorer_id)
    return None if row is None else ScorerRow(**row)


def list_versions(connection: Connection, *, run_id: int) -> list[Version]:
    """The publications of a run, the latest first."""
    return [Version(**row) for row in db.rows(connection, "history.versions", run_id=run_id)]


def list_run_topics(
    connection: Connection, *, run_id: int, publication_id: int, limit: int, offset: int = 0
) -> list[RunTopic]:
    """A run's topics, those with something amiss first."""
    found = db.rows(
        connection,
        "history.run_topics",
        run_id=run_id,
        publication_id=publication_id,
        limit=limit,
        offset=offset,
    )
    return [RunTopic(**row) for row in found]


def list_quarantined(connection: Connection, *, run_id: int) -> list[Quarantined]:
    """Why a run put articles and pairs into quarantine, the most frequent reasons first."""
    return [Quarantined(**row) for row in db.rows(connection, "history.quarantined", run_id=run_id)]


def topic_means(
    connection: Connection, *, publication_ids: Sequence[int], slugs: Sequence[str]
) -> dict[str, dict[int, float]]:
    """Mean logit of the ranked articles: topic → publication → mean."""
    found: dict[str, dict[int, float]] = {slug: {} for slug in slugs}
    for row in db.rows(
        connection, "history.topic_scores", publication_ids=list(publication_ids), slugs=list(slugs)
    ):
        found[row["slug"]][row["publication_id"]] = row["mean"]
    return found


def topic_drift(
    connection: Connection, *, publication_ids: Sequence[int], slugs: Sequence[str]
) -> dict[str, dict[int, float]]:
    """Population stability index of the topics' new logits: topic → publication → index."""
    found: dict[str, dict[int, float]] = {slug: {} for slug in slugs}
    for row in db.rows(
        connection, "history.topic_psi", publication_ids=list(publication_ids), slugs=list(slugs)
    ):
        found[row["slug"]][row["publication_id"]] = row["psi"]
    return found


def topic_spreads(
    connection: Connection, *, publication_id: int, slugs: Sequence[str]
) -> Mapping[str, list[int]]:
    """Ranked articles of each topic by their logit, in BINS bins from -10 to 10."""
    found = {slug: [0] * BINS for slug in slugs}
    for row in db.rows(connection, "history.topic_spread", publication_id=publication_id, slugs=list(slugs)):
        found[row["slug"]][row["bin"] - 1] = row["found"]
    return found


def list_revisions(connection: Connection, *, pipeline: str, article_id: str) -> list[Revision]:
    """The latest revisions of an article, the newest first; empty if the pipeline never claimed it."""
    return [
        Revision(**row)
        for row in db.rows(connection, "history.article", pipeline=pipeline, article_id=article_id)
    ]


def find_texts(connection: Connection, *, revision_id: int) -> Texts:
    """The beginning of a revision's texts."""
    row = db.the(connection, "history.article_text", revision_id=revision_id, characters=SHOWN_CHARACTERS)
    return Texts(**row)


def list_media(connection: Connection, *, revision_id: int) -> list[Medium]:
    """The pictures and clips of a revision, in their order."""
    return [Medium(**row) for row in db.rows(connection, "history.media", revision_id=revision_id)]


def has_picture(connection: Connection, *, pipeline: str, path: str) -> bool:
    """Whether an article of the pipeline has the rendition at this path of the store."""
    return bool(db.the(connection, "history.has_picture", pipeline=pipeline, path=path)["has"])


def list_copies(connection: Connection, *, pipeline: str, article_id: str, revision: Revision) -> list[Copy]:
    """Other articles with the text of this article's revision, a near-copy of it, or its link."""
    found = db.rows(
        connection,
        "history.copies",
        pipeline=pipeline,
        document_id=revision.document_id,
        scored_document_id=revision.scored_document_id,
        article_id=article_id,
        source=revision.source,
        url=revision.url,
        first_ingested_at=revision.first_ingested_at,
    )
    return [Copy(**row) for row in found]


def list_standings(
    connection: Connection,
    *,
    publication_id: int,
    document_id: int,
    lang: str,
    limit: int,
    offset: int = 0,
) -> list[Standing]:
    """Where the cluster of a scored text in this language stands in each topic of a publication."""
    codes = db.rows(connection, "history.query_languages", publication_id=publication_id)
    found = db.rows(
        connection,
        "history.article_standing",
        publication_id=publication_id,
        document_id=document_id,
        langs=same_language(lang, [row["code"] for row in codes]),
        limit=limit,
        offset=offset,
    )
    return [Standing(**row) for row in found]
