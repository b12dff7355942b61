"""Rankings: the topics of a publication with their top articles, one topic in full, and a search over all topics."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from sqlalchemy import Connection

from rerank_airflow.ui.access import Chosen, Pipeline
from rerank_airflow.ui.paging import ROWS, PartNumber, part
from rerank_airflow.ui.render import render
from rerank_core.observe import history
from rerank_core.observe.history_records import Publication, Row

TOPICS = 20  # in one part of the overview
TOP = 3  # articles of each topic there

State = Annotated[str | None, Query(pattern="^(full|partial|abstained|degraded|stale)?$")]
PublicationId = Annotated[int | None, Query(ge=1, le=2**62)]
Moment = Annotated[str | None, Query(max_length=40)]
Text = Annotated[str, Query(max_length=200)]

router = APIRouter()


@router.get("/rankings")
def rankings(
    request: Request,
    pipeline: Chosen,
    publication: PublicationId = None,
    at: Moment = None,
    q: Text = "",
    lang: Text = "",
    state: State = None,
    page: PartNumber = 1,
) -> Response:
    """All topics with their first articles; with `q` or `lang`, the rows that match."""
    with history.reading(pipeline.database) as connection:
        shown = choose(connection, pipeline, publication, at)
        if shown is None:
            return nothing(request, pipeline)
        frame = around(connection, pipeline, shown)
        if clean(q) or clean(lang):
            values = _search(connection, pipeline, shown, q=q, lang=lang, page=page)
            return render(request, "search.html", **frame, **values)
        values = _overview(connection, pipeline, shown, state=state or None, page=page)
        return render(request, "rankings.html", **frame, **values)


def _search(
    connection: Connection, pipeline: Pipeline, shown: Publication, *, q: str, lang: str, page: int
) -> dict[str, Any]:
    rows = history.list_rows(
        connection,
        pipeline=pipeline.name,
        publication_id=shown.publication_id,
        before_id=shown.before_id,
        q=clean(q) or None,
        lang=clean(lang) or None,
        limit=ROWS,
        offset=(page - 1) * ROWS,
    )
    slugs = sorted({row.slug for row in rows})
    return {
        "q": q,
        "lang": lang,
        "rows": rows,
        "known": history.known_topics(connection, publication_id=shown.before_id, slugs=slugs),
        "part": part(rows, at=page),
    }


def _overview(
    connection: Connection, pipeline: Pipeline, shown: Publication, *, state: str | None, page: int
) -> dict[str, Any]:
    topics = history.list_topics(
        connection,
        publication_id=shown.publication_id,
        state=state,
        limit=TOPICS,
        offset=(page - 1) * TOPICS,
    )
    slugs = [topic.slug for topic in topics]
    rows: dict[str, list[Row]] = {slug: [] for slug in slugs}
    for row in history.list_rows(
        connection,
        pipeline=pipeline.name,
        publication_id=shown.publication_id,
        before_id=shown.before_id,
        slugs=slugs,
        top=TOP,
        limit=TOPICS * TOP,
    ):
        rows[row.slug].append(row)
    return {
        "q": "",
        "lang": "",
        "state": state or "",
        "states": history.count_states(connection, publication_id=shown.publication_id),
        "topics": topics,
        "rows": rows,
        "known": history.known_topics(connection, publication_id=shown.before_id, slugs=slugs),
        "part": part(topics, at=page, size=TOPICS),
    }


@router.get("/topic")
def topic(
    request: Request,
    pipeline: Chosen,
    slug: Annotated[str, Query(max_length=200)],
    publication: PublicationId = None,
    at: Moment = None,
    q: Text = "",
    lang: Text = "",
    page: PartNumber = 1,
) -> Response:
    """One topic in full."""
    with history.reading(pipeline.database) as connection:
        shown = choose(connection, pipeline, publication, at)
        if shown is None:
            return nothing(request, pipeline)
        found = history.list_topics(
            connection, publication_id=shown.publication_id, slug=clean(slug), limit=1
        )
        if not found:
            raise HTTPException(
                404,
                f"The page of run {shown.run_id} has no topic {slug}; `rerank topics list` shows those there are.",
            )
        rows = history.list_rows(
            connection,
            pipeline=pipeline.name,
            publication_id=shown.publication_id,
            before_id=shown.before_id,
            slugs=[found[0].slug],
            q=clean(q) or None,
            lang=clean(lang) or None,
            limit=ROWS,
            offset=(page - 1) * ROWS,
        )
        return render(
            request,
            "topic.html",
            **around(connection, pipeline, shown),
            topic=found[0],
            rows=rows,
            q=q,
            lang=lang,
            known=history.known_topics(connection, publication_id=shown.before_id, slugs=[found[0].slug]),
            part=part(rows, at=page),
            spread=history.topic_spreads(
                connection, publication_id=shown.publication_id, slugs=[found[0].slug]
            )[found[0].slug],
        )


def clean(text: str) -> str:
    """What was typed, without the NUL characters that Postgres refuses."""
    return text.replace("\0", "").strip()


def choose(
    connection: Connection, pipeline: Pipeline, publication: int | None, at: str | None
) -> Publication | None:
    """The publication that is asked for by its id or by a time, else the current one; None if nothing is published yet.

    Raises HTTPException if the publication that is asked for does not exist.
    """
    if publication is None and at:
        try:
            moment = datetime.fromisoformat(at)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise HTTPException(422, f"{at} is no time; write it like 2026-11-22T17:00.") from None
        publication = history.publication_at(connection, pipeline=pipeline.name, at=moment)
        if publication is None:
            raise HTTPException(404, f"Nothing was published yet at {at} UTC.")
    found = history.find_publication(connection, pipeline=pipeline.name, publication_id=publication)
    if found is None and publication is not None:
        raise HTTPException(
            404,
            f"The pipeline {pipeline.name} has no publication {publication}. The view Runs shows those that it has.",
        )
    return found


def around(connection: Connection, pipeline: Pipeline, shown: Publication) -> dict[str, Any]:
    """What every view of a publication shows around its rows."""
    choices = history.list_publications(connection, pipeline=pipeline.name)
    return {
        "tab": "rankings",
        "pipeline": pipeline,
        "shown": shown,
        "choices": choices,
        "languages": history.list_languages(connection, publication_id=shown.publication_id),
    }


def nothing(request: Request, pipeline: Pipeline) -> Response:
    """The view while nothing is published."""
    return render(request, "nothing.html", tab="rankings", pipeline=pipeline)
