"""One article: its place in every topic and why, its text as it came and as the model reads it, its near-copies."""

import math
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response

from rerank_airflow.ui.access import Chosen
from rerank_airflow.ui.paging import ROWS, PartNumber, part
from rerank_airflow.ui.rankings import PublicationId, choose, clean
from rerank_airflow.ui.render import logit, render
from rerank_core.observe import history
from rerank_core.observe.history_records import Revision, Standing
from rerank_core.storage.languages import UNKNOWN, comparable

router = APIRouter()


@router.get("/article")
def article(
    request: Request,
    pipeline: Chosen,
    id: Annotated[str, Query(max_length=2000)],
    publication: PublicationId = None,
    page: PartNumber = 1,
) -> Response:
    """The article with this id of the source."""
    with history.reading(pipeline.database) as connection:
        revisions = history.list_revisions(connection, pipeline=pipeline.name, article_id=clean(id))
        if not revisions:
            raise HTTPException(
                404,
                f"The pipeline {pipeline.name} never claimed an article {id}. Ids are those of the source view;"
                " an article is claimed by the first run after its ingestion.",
            )
        revision = revisions[0]
        shown = choose(connection, pipeline, publication, None)
        standings: list[Standing] = []
        if shown is not None and revision.scored_document_id is not None:
            standings = history.list_standings(
                connection,
                publication_id=shown.publication_id,
                document_id=revision.scored_document_id,
                lang=revision.document_lang or "und",
                limit=ROWS,
                offset=(page - 1) * ROWS,
            )
        media = history.list_media(connection, revision_id=revision.revision_id)
        texts = history.find_texts(connection, revision_id=revision.revision_id)
        copies = (
            history.list_copies(connection, pipeline=pipeline.name, article_id=clean(id), revision=revision)
            if revision.document_id is not None
            else []
        )
    return render(
        request,
        "article.html",
        tab="article",
        pipeline=pipeline,
        shown=shown,
        article_id=clean(id),
        revision=revision,
        revisions=revisions,
        media=media,
        texts=texts,
        copies=copies,
        standings=[
            (standing, why(standing, revision, as_of=shown.as_of))
            for standing in standings
            if shown is not None
        ],
        part=part(standings, at=page),
    )


def why(standing: Standing, revision: Revision, *, as_of: datetime) -> str:
    """Why the article has this rank in a topic, or none."""
    distrusted = f"its score by run {standing.distrusted} counts for nothing: the gate blocks that run"
    if standing.rank is not None and standing.ranked_by != "model":
        order = "BM25 order" if standing.ranked_by == "bm25" else "the order of sentence embeddings"
        unscored = "not scored yet:" if standing.distrusted is None else f"{distrusted};"
        if standing.refused is not None:
            unscored = f"the scorer refused every pair of this query ({standing.refused});"
        return f"{unscored} it follows in {order}, after the scored ones"
    if standing.rank is not None and standing.logit is not None:
        decay = standing.logit - (standing.rank_score or standing.logit)
        aged = as_of - revision.began_at
        hours = max(aged, timedelta()) / timedelta(hours=1)
        return (
            f"logit {logit(standing.logit)} less {decay:.2f} for {hours:.0f} h of age"
            f" at a half-life of {standing.half_life_hours:g} h"
        )
    if revision.hidden is not None:
        return f"hidden: {revision.hidden}"
    if standing.refused is not None:
        return f"the scorer refused it: {standing.refused}"
    if standing.distrusted is not None:
        return distrusted
    if standing.logit is None:
        codes = set(map(comparable, standing.languages))
        if codes and comparable(revision.document_lang or UNKNOWN) not in codes | {UNKNOWN}:
            return f"the topic takes {', '.join(standing.languages)} only"
        return "not scored: never among its candidates, or over the budget; `rerank explain` says which"
    if standing.min_score is not None and standing.logit < standing.min_score:
        return f"below the topic's least logit, {logit(standing.min_score)}"
    age = as_of - revision.began_at
    reached = standing.logit - math.log(2) * (age / timedelta(hours=1)) / standing.half_life_hours
    if standing.last_rank_score is not None and reached < standing.last_rank_score:
        return (
            f"outranked: {logit(reached)} after decay, and the last of the page has"
            f" {logit(standing.last_rank_score)}"
        )
    return "scored, but not among the documents that this page was made from"
