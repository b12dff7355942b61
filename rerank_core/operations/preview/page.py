"""The page that a topic would have, from what it finds in the window, and what that page tells."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rerank_core.operations.preview.look import Look, Looked, own_languages
from rerank_core.operations.preview.records import Cost, Filtered, Order, Overlap, QueryWords, Row
from rerank_core.prepare.terms import words
from rerank_core.publish.ranking import Ranked, rank_topic
from rerank_core.recall.base import Mask
from rerank_core.recall.window import takes_language
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.languages import comparable

MOST_OVERLAPS = 10


@dataclass(frozen=True)
class Page:
    """A topic's rows: positions of members in the window, by rank, at most top_k."""

    ranked: Ranked
    positions: Ids
    order: Order


def make_page(look: Look, found: Looked, *, by: Order = "model") -> Page:
    """The page as the next run would make it, as far as scores are known; the rest follows in the light order.

    With `by` "bm25" scores count for nothing: to compare two versions of which one is not scored.
    """
    document_ids = look.window.document_ids
    is_scored = found.ready & ~np.isnan(found.logit) if by == "model" else np.zeros(len(document_ids), bool)
    promising = (found.light > 0) | ~found.by_words
    rest = found.eligible & found.chosen.chosen & ~is_scored & promising
    if by == "model":
        rest &= ~found.refused
    ranked = rank_topic(
        topic=found.topic,
        clusters=look.clusters,
        document_ids=document_ids[is_scored],
        logit=found.logit[is_scored],
        light=found.light[is_scored].astype(np.float64),
        truncated=np.zeros(int(is_scored.sum()), dtype=bool),
        unscored_ids=document_ids[rest],
        unscored_light=found.light[rest].astype(np.float64),
    )
    places = ranked.places[: found.topic.top_k]
    by_id = np.argsort(document_ids)
    ids = look.clusters.document_ids[places]
    return Page(ranked, by_id[np.searchsorted(document_ids[by_id], ids)] if len(ids) else ids, by)


def rows_of(
    look: Look, found: Looked, page: Page, titles: Mapping[int, str], fresh: Mask, limit: int
) -> tuple[Row, ...]:
    """The first rows. `titles` are by revision id; `fresh` says which members this preview has scored."""
    rows = []
    for place, position in enumerate(page.positions[:limit].tolist()):
        cluster = int(page.ranked.places[place])
        member = {
            name: look.members.column(name)[int(look.clusters.positions[cluster])].as_py()
            for name in ("article_id", "revision_id", "source")
        }
        is_scored = bool(page.ranked.by_model[place])
        by = found.chosen.found_by(position) if found.chosen.chosen[position] else ""
        rows.append(
            Row(
                rank=place + 1,
                article_id=member["article_id"],
                title=titles.get(member["revision_id"]) or "",
                source=member["source"],
                lang=look.window.lang(position),
                ranked_by="model" if is_scored else "bm25",
                logit=float(page.ranked.logit[place]) if is_scored else None,
                rank_score=float(page.ranked.rank_score[place]) if is_scored else None,
                light_score=float(page.ranked.light[place]),
                age_hours=float(look.clusters.age_hours[cluster]),
                recalled_by=by or None,
                fresh_score=bool(fresh[position]),
            )
        )
    return tuple(rows)


def articles_of(look: Look, page: Page) -> list[tuple[str, int]]:
    """Article and revision of each row."""
    places = look.clusters.positions[page.ranked.places[: len(page.positions)]].tolist()
    columns = look.members.column("article_id"), look.members.column("revision_id")
    return [(columns[0][place].as_py(), columns[1][place].as_py()) for place in places]


def query_words(look: Look, found: Looked) -> tuple[QueryWords, ...]:
    """Each query of the topic, with the words that match nothing in the documents that it is for."""
    topic, window = found.topic, look.window
    own = own_languages(topic)
    asked: dict[str, list[str]] = {query: [] for query in (topic.query, *topic.queries.values())}
    for lang in window.languages:
        if takes_language(topic, lang):
            asked[topic.query_for(comparable(lang))].append(lang)
    answer = []
    for query, langs in asked.items():
        # A word cannot be in documents of another language: they count only if the query has no documents of its own.
        langs = [lang for lang in langs if not own or comparable(lang) in own] or langs
        matched: set[str] = set()
        counted: dict[str, None] = {}
        unused: dict[str, None] = {}
        for lang in langs or ["en"]:
            for word, terms in words(query, lang=lang).items():
                (counted if terms else unused)[word] = None
                here = window.languages.get(lang)
                if here is not None and any((look.lexicon.has(term) & here).any() for term in terms):
                    matched.add(word)
        answer.append(
            QueryWords(
                query=query,
                langs=tuple(langs),
                documents=sum(int(window.languages[lang].sum()) for lang in langs),
                unmatched=tuple(word for word in counted if word not in matched and word not in unused),
                unused=tuple(unused),
            )
        )
    return tuple(answer)


def filters_of(look: Look, found: Looked) -> tuple[Filtered, ...]:
    """Each filter of the topic, and what it removes; min_score removes candidates that are scored, and nothing else."""
    topic, window = found.topic, look.window
    removed: list[tuple[str, str, Mask]] = []
    if topic.languages:
        foreign = np.zeros(len(window), dtype=bool)
        for lang, here in window.languages.items():
            if not takes_language(topic, lang):
                foreign |= here
        removed.append(("languages", ", ".join(topic.languages), foreign))
    removed += [("must", term, ~look.filters.having(term)) for term in topic.must]
    removed += [("must_not", term, look.filters.having(term)) for term in topic.must_not]
    counts = np.sum([mask for _, _, mask in removed], axis=0) if removed else np.zeros(len(window), int)
    filters = [
        Filtered(field, value, int(mask.sum()), int((mask & (counts == 1)).sum()))
        for field, value, mask in removed
    ]
    if topic.min_score is not None:
        below = found.ready & (found.logit < topic.min_score)
        filters.append(Filtered("min_score", f"{topic.min_score:g}", int(below.sum()), int(below.sum())))
    return tuple(filters)


def overlaps_of(
    slug: str,
    own: Collection[int],
    previewed: Mapping[str, Collection[int]],
    current: Mapping[str, Collection[int]],
) -> tuple[Overlap, ...]:
    """The topics with rows in common, by scored document: those of the preview, and others of the current page."""
    mine = set(own)
    others = [(other, False, rows) for other, rows in previewed.items() if other != slug]
    others += [(other, True, rows) for other, rows in current.items() if other not in {slug, *previewed}]
    found = [
        Overlap(other, stored, len(mine & set(rows)), len(rows))
        for other, stored, rows in others
        if mine & set(rows)
    ]
    return tuple(sorted(found, key=lambda each: (-each.shared, each.slug))[:MOST_OVERLAPS])


def cost_of(look: Look, found: Looked) -> Cost:
    """Pairs to score now and every hour, and their seconds at the scorer's latest measured speed."""
    pairs = int(found.unscored.sum())
    speed = look.seconds_a_pair
    return Cost(
        pairs=pairs,
        known=int((found.chosen.chosen & ~np.isnan(found.logit)).sum()),
        pairs_an_hour=found.hourly,
        seconds=None if speed is None else pairs * speed,
        seconds_an_hour=None if speed is None else found.hourly * speed,
    )


def common_order(new: Looked, old: Looked) -> Order:
    """The order that two versions of a topic can be compared in: the model's if every candidate of both has its score."""
    is_whole = not new.unscored.any() and not old.unscored.any()
    return "model" if is_whole else "bm25"


def only_in(left: Sequence[tuple[str, int]], right: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """What the first list has and the second has not, by article, in its order."""
    known = {article_id for article_id, _ in right}
    return [each for each in left if each[0] not in known]
