"""Two publications side by side, of one pipeline or of two, and how much the ranks differ."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from rerank_airflow.ui.access import Chosen, Pipeline, Visible, of_name
from rerank_airflow.ui.paging import ROWS, Part, PartNumber
from rerank_airflow.ui.rankings import PublicationId, choose, clean, nothing
from rerank_airflow.ui.render import render
from rerank_core.observe import history
from rerank_core.observe.history_records import Publication, PublicationChoice, Row, TopicOrder
from rerank_core.setting_values import SLUG

DEPTH = 10  # ranks that the overlap is counted over

router = APIRouter()


@dataclass(frozen=True)
class Churn:
    """How a topic differs between two publications; `left` is the publication to compare with."""

    slug: str
    left_state: str | None  # None: the publication does not have the topic
    right_state: str | None
    kept: int  # of the first DEPTH on both sides
    wanted: int  # the longer of the two, at most DEPTH
    entered: int  # on the right only, at any rank
    gone: int  # on the left only
    moved: float | None  # mean of the places that the articles of both sides moved

    @property
    def overlap(self) -> float | None:
        """Share of the first ranks that both have."""
        return self.kept / self.wanted if self.wanted else None


@dataclass(frozen=True)
class Side:
    """One of the two."""

    pipeline: Pipeline
    shown: Publication
    choices: list[PublicationChoice]
    orders: dict[str, TopicOrder]
    rows: list[Row]  # of the topic that the view shows


def churn(slug: str, left: TopicOrder | None, right: TopicOrder | None) -> Churn:
    """Compare the orders of one topic."""
    before = left.article_ids if left else []
    after = right.article_ids if right else []
    ranks = {article: rank for rank, article in enumerate(before)}
    shared = [abs(rank - ranks[article]) for rank, article in enumerate(after) if article in ranks]
    return Churn(
        slug=slug,
        left_state=left.state if left else None,
        right_state=right.state if right else None,
        kept=len(set(before[:DEPTH]) & set(after[:DEPTH])),
        wanted=max(len(before[:DEPTH]), len(after[:DEPTH])),
        entered=len(after) - len(shared),
        gone=len(before) - len(shared),
        moved=sum(shared) / len(shared) if shared else None,
    )


@router.get("/compare")
def compare(
    request: Request,
    pipeline: Chosen,
    visible: Visible,
    publication: PublicationId = None,
    other: Annotated[str | None, Query(pattern=f"{SLUG}|^$")] = None,
    against: PublicationId = None,
    slug: Annotated[str, Query(max_length=200)] = "",
    sort: Literal["churn", "topic"] = "churn",
    page: PartNumber = 1,
) -> Response:
    """`publication` of `pipeline` on the right, `against` of the pipeline `other` on the left; by default the run before."""
    beside = of_name(other or pipeline.name, visible)
    name = clean(slug)
    with ExitStack() as stack:
        connection = stack.enter_context(history.reading(pipeline.database))
        # Two pipelines of one database are read in one snapshot.
        away = (
            connection
            if beside.database is pipeline.database
            else stack.enter_context(history.reading(beside.database))
        )
        right = _side(connection, pipeline, publication, name)
        if right is None:
            return nothing(request, pipeline)
        if against is None and beside.name == pipeline.name:
            against = right.shown.before_id or right.shown.publication_id
        left = _side(away, beside, against, name)
        if left is None:
            return nothing(request, beside)
    found = [
        churn(each, left.orders.get(each), right.orders.get(each))
        for each in sorted(left.orders.keys() | right.orders.keys())
    ]
    if sort == "churn":
        found.sort(key=lambda each: (each.overlap is None, each.overlap, -(each.moved or 0), each.slug))
    counted = [each.overlap for each in found if each.overlap is not None]
    return render(
        request,
        "compare.html",
        tab="compare",
        pipeline=pipeline,
        left=left,
        right=right,
        sort=sort,
        found=found[(page - 1) * ROWS : page * ROWS],
        part=Part(at=page, size=ROWS, total=len(found)),
        overlap=sum(counted) / len(counted) if counted else None,
        same=sum(not each.entered and not each.gone and not each.moved for each in found),
        topics=len(found),
        slug=name,
        pair=(left.rows, right.rows) if name else None,
        ranks=(_ranks(left, name), _ranks(right, name)) if name else None,
        depth=DEPTH,
    )


def _side(connection: Connection, pipeline: Pipeline, publication: int | None, slug: str) -> Side | None:
    shown = choose(connection, pipeline, publication, None)
    if shown is None:
        return None
    orders = history.list_orders(connection, publication_id=shown.publication_id)
    return Side(
        pipeline=pipeline,
        shown=shown,
        choices=history.list_publications(connection, pipeline=pipeline.name),
        orders={order.slug: order for order in orders},
        rows=(
            history.list_rows(
                connection,
                pipeline=pipeline.name,
                publication_id=shown.publication_id,
                before_id=None,
                slugs=[slug],
                limit=ROWS,
            )
            if slug
            else []
        ),
    )


def _ranks(side: Side, slug: str) -> dict[str, int]:
    order = side.orders.get(slug)
    return {article: rank for rank, article in enumerate(order.article_ids if order else [], 1)}
