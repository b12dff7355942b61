"""Try topics before they are applied: what each would recall and rank, what it shares with others, and what it costs.

Each topic is looked at as if it were new, against the window of a run that would begin now, over what is claimed and
prepared already. Nothing is claimed or written. Scores are those that the ledger has. If asked, the best candidates
are scored; these scores are shown and not kept.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from rerank_core.errors import InputError, or_perhaps
from rerank_core.models import scorers
from rerank_core.operations.preview import page as pages
from rerank_core.operations.preview.look import Look, Looked, look, without_query
from rerank_core.operations.preview.page import Page, make_page
from rerank_core.operations.preview.records import Difference, Overlap, Preview, Stand, TopicPreview
from rerank_core.operations.preview.score import score_best
from rerank_core.recall.base import Mask
from rerank_core.records import Topic
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import topics as stored_topics
from rerank_core.storage.database import Database
from rerank_core.storage.topics import TopicChange

MOST_TOPICS = 200  # that one preview looks at
MOST_ARTICLES = 20_000  # the newest of the window that are looked at
ROWS = 10


@dataclass(frozen=True)
class _Tried:
    """One topic that is shown, with the stored version beside it if that differs."""

    change: TopicChange
    stand: Stand
    new: Looked
    old: Looked | None


def preview(
    database: Database,
    settings: Settings,
    wanted: Sequence[Topic],
    *,
    shown: Collection[str] | None = None,
    until: datetime | None = None,
    score: int = 0,
    rows: int = ROWS,
    most_articles: int = MOST_ARTICLES,
) -> Preview:
    """What these topics would do. Only the topics of `shown` are told, if it is given; the others count for overlaps.

    `score` pairs at most go through the engine. Raises InputError for a slug that is not among `wanted`, or too many
    topics; with `score`, what scorers.load and the engine raise.
    """
    wanted = _chosen(wanted, shown)
    tried = [topic.slug for topic in wanted if shown is None or topic.slug in shown]
    with database.transaction(read_only=True) as connection:
        settings = scorers.in_use(connection, settings)
        planned = stored_topics.plan(connection, settings.pipeline, wanted)
        current = {
            row["slug"]: row["document_ids"]
            for row in db.rows(connection, "preview.current", pipeline=settings.pipeline)
        }
    changes = {change.topic.slug: change for change in planned.changes}
    before = [
        change.before for slug, change in changes.items() if slug in tried and change.fields and change.before
    ]
    digest = scorers.identity(settings).digest if score else None
    seen = look(
        database,
        settings,
        [*wanted, *before],
        until=until,
        most_articles=most_articles,
        scorer_digest=digest,
    )
    unscored, stored = seen.topics[: len(wanted)], seen.topics[len(wanted) :]
    latest = _scored(database, settings, seen, unscored, tried, score)
    fresh = [~np.isnan(each.logit) & np.isnan(old.logit) for each, old in zip(latest, unscored, strict=True)]
    old_by_slug = {each.topic.slug: each for each in stored}
    made = {each.topic.slug: make_page(seen, each) for each in latest}
    rows_of = {slug: seen.window.document_ids[page.positions].tolist() for slug, page in made.items()}
    teller = _Teller(database, seen, rows)
    told = []
    for each, new_scores in zip(latest, fresh, strict=True):
        slug = each.topic.slug
        if slug in tried:
            this = _Tried(changes[slug], _stand(changes[slug]), each, old_by_slug.get(slug))
            overlaps = pages.overlaps_of(slug, rows_of[slug], rows_of, current)
            told.append(teller.tell(this, made[slug], new_scores, overlaps))
    return Preview(
        pipeline=settings.pipeline,
        since=seen.span.since,
        until=seen.span.until,
        cut=seen.cut,
        articles=seen.members.num_rows,
        documents=len(seen.window),
        strategy=seen.strategy,
        without_vector=seen.without_vector,
        scorer_id=seen.scorer_id,
        scored_now=sum(int(each.sum()) for each in fresh),
        topics=tuple(told),
    )


def _chosen(wanted: Sequence[Topic], shown: Collection[str] | None) -> list[Topic]:
    """The topics to look at: all, or those that are shown if all are too many. Raises InputError."""
    slugs = [topic.slug for topic in wanted]
    for slug in shown or ():
        if slug not in slugs:
            raise InputError(f"there is no topic {slug!r}{or_perhaps(slug, slugs)}; write a slug of the file")
    if len(wanted) <= MOST_TOPICS:
        return list(wanted)
    if shown is None or len(shown) > MOST_TOPICS:
        raise InputError(
            f"{len(shown or wanted):,} topics are too many for one preview, {MOST_TOPICS} is the most; name some with --topic"
        )
    return [topic for topic in wanted if topic.slug in shown]


def _scored(
    database: Database,
    settings: Settings,
    seen: Look,
    found: Sequence[Looked],
    tried: Collection[str],
    score: int,
) -> list[Looked]:
    """The topics, those that are tried with scores for `score` of their pairs."""
    chosen = [each for each in found if each.topic.slug in tried] if score else []
    scored = {each.topic.slug: each for each in score_best(database, settings, seen, chosen, score)}
    return [scored.get(each.topic.slug, each) for each in found]


def _stand(change: TopicChange) -> Stand:
    if change.before is None:
        return "new"
    if not change.topic.active:
        return "off"
    return "edited" if change.fields else "stored"


class _Teller:
    """Tells what a look has found, topic by topic."""

    def __init__(self, database: Database, seen: Look, rows: int) -> None:
        self._database, self._seen, self._rows = database, seen, rows

    def tell(self, tried: _Tried, page: Page, fresh: Mask, overlaps: tuple[Overlap, ...]) -> TopicPreview:
        """One topic."""
        seen, found = self._seen, tried.new
        shown = pages.articles_of(seen, page)
        return TopicPreview(
            topic=replace(found.topic, number=tried.change.topic.number),
            stand=tried.stand,
            eligible=int(found.eligible.sum()),
            recalled=int(found.chosen.chosen.sum()),
            queries=pages.query_words(seen, found),
            filters=pages.filters_of(seen, found),
            without_query=without_query(seen.window, found),
            rows=pages.rows_of(seen, found, page, self._titles(shown[: self._rows]), fresh, self._rows),
            row_count=len(page.positions),
            overlaps=overlaps,
            cost=pages.cost_of(seen, found),
            difference=self._difference(tried) if tried.old is not None else None,
        )

    def _difference(self, tried: _Tried) -> Difference:
        assert tried.old is not None
        order = pages.common_order(tried.new, tried.old)
        new, old = (
            pages.articles_of(self._seen, make_page(self._seen, found, by=order))
            for found in (tried.new, tried.old)
        )
        entered, left = pages.only_in(new, old), pages.only_in(old, new)
        titles = self._titles([*entered, *left])
        chosen, before = tried.new.chosen.chosen, tried.old.chosen.chosen
        return Difference(
            compared_by=order,
            fields=tried.change.fields,
            entered=tuple((article_id, titles.get(revision, "")) for article_id, revision in entered),
            left=tuple((article_id, titles.get(revision, "")) for article_id, revision in left),
            candidates_entered=int((chosen & ~before).sum()),
            candidates_left=int((before & ~chosen).sum()),
        )

    def _titles(self, articles: Sequence[tuple[str, int]]) -> dict[int, str]:
        with self._database.transaction(read_only=True) as connection:
            found = db.rows(
                connection, "standings.display", revision_ids=[revision for _, revision in articles]
            )
        return {row["revision_id"]: row["title"] for row in found}
