"""What was scored and published: the article's score, its place, or the cut that it did not pass."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import RowMapping

from rerank_core.observe.explain_moves import why_brought, why_left_out, why_moved
from rerank_core.observe.explanation import Answer, Case, Facts, Found, fact
from rerank_core.publish.editorial import Composer, told
from rerank_core.publish.ranking import Ranked, order_topic
from rerank_core.records import Topic
from rerank_core.storage import ledger

Order = Sequence[tuple[str, float]]  # every article that could be ranked, in order, with its rank_score


@dataclass(frozen=True)
class PairScore:
    """The article's score in the ledger."""

    logit: float
    run_id: int  # that scored it
    truncated: bool  # the tail was cut at the token limit


def what_was_scored(case: Case) -> Found:
    """The article's place in the run's latest publication, or why it has none; there is always an answer."""
    run = case.run
    publication = case.one("explain.publication", run_id=run.run_id)
    if publication is None:
        said = f"It is recalled, and run {run.run_id} has not published yet."
        return Found((), Answer("not_published", said))
    is_current = ", the current page" if publication["is_current"] else ""
    facts = fact("publication", f"version {publication['version']}{is_current}")
    named = {"publication_id": publication["publication_id"], "slug": case.topic.slug}
    standing = case.one("explain.standing", **named)
    row = case.one("explain.row", **named, article_id=case.article_id)
    scorer_id, missing = run.scorer_id, 0
    if standing is not None:
        scorer_id, missing = standing["scorer_id"], standing["missing"]
    if case.act is not None:
        facts += fact("editor", told(case.act))
    if row is not None and row["ranked_by"] == "editor":
        return Found(facts, why_brought(case, row))
    if row is not None and row["ranked_by"] != "model":
        facts += fact("block", "the second, below it: not scored by the model")
        return Found(facts, _in_second_block(case, row))
    if row is not None:
        facts += fact("block", "the first, scored by the model")
    if row is None and not case.own_pairs.num_rows:
        said = f"It is pinned, and the page has {case.topic.top_k} other pinned rows already."
        return Found(facts, Answer("moved_off", said))
    score = _score(case, scorer_id)
    if score is None:
        return Found(facts, _why_unscored(case, scorer_id, missing))
    answer = _below_min_score(case, score) if row is None else None
    if answer is None:
        answer = _why_not_shown(case, scorer_id) if row is None else _why_this_rank(case, row, scorer_id)
    return Found(facts + _score_facts(case, score), answer)


def _in_second_block(case: Case, row: RowMapping) -> Answer:
    by = "BM25" if row["ranked_by"] == "bm25" else "the similarity of sentence embeddings"
    where = f"Rank {row['rank']}, in the second block"
    refused = case.one("explain.refused", **_pair_ids(case))
    if refused is not None:
        return Answer(
            "ranked",
            f"{where}, by {by} ({row['light_score']:.2f}): the scorer refused every pair of this query:"
            f" {refused['reason']}.",
        )
    why = _why_distrusted(case) or "it has no score of the model yet"
    return Answer(
        "ranked",
        f"{where}: {why}, and stands there by {by} ({row['light_score']:.2f}). The next good run scores it.",
    )


def _why_unscored(case: Case, ranking_scorer_id: int | None, missing: int) -> Answer:
    """Why the scorer that ranks the topic has no score of the article."""
    run, pair, top_k = case.run, case.own_pair, case.topic.top_k
    refused = case.one("explain.refused", **_pair_ids(case))
    if refused is not None:
        return Answer("refused", f"The scorer refused it: {refused['reason']}.")
    own = _score(case, run.scorer_id)
    if own is not None and ranking_scorer_id != run.scorer_id:
        return Answer(
            "other_scorer",
            f"Scorer {run.scorer_id} has scored it (logit {own.logit:+.3f}), but scorer {ranking_scorer_id} ranks the"
            " topic until the new one has filled it.",
        )
    before = f"more than {top_k} unscored documents are before it in BM25 order. The next good run scores it."
    if (why := _why_distrusted(case)) is not None:
        return Answer("distrusted", f"It is not on the page: {why}, and {before}")
    if pair["known"] or not missing:
        return Answer("score_lost", "It had a score, which is past its retention now.")
    if pair["light_score"] <= 0:
        before = "shares no word with the topic's query. The next good run scores it."
    return Answer("unscored_below_page", f"It has no score of the model yet, and {before}")


def _why_distrusted(case: Case) -> str | None:
    """Why the article's score counts for nothing; None if it has no such score."""
    row = case.one("explain.aside", **_pair_ids(case))
    if row is None:
        return None
    return (
        f"its score by run {row['run_id']} (logit {row['logit']:+.3f}) counts for nothing, because the gate blocks"
        f" that run ({row['sentence']})"
    )


def _pair_ids(case: Case) -> dict[str, int | None]:
    pair = case.own_pair
    return {
        "scorer_id": case.run.scorer_id,
        "query_id": pair["query_id"],
        "document_id": pair["document_id"],
    }


def _score_facts(case: Case, score: PairScore) -> Facts:
    topic, decay = case.topic, _decay(case)
    return (
        *fact(
            "score",
            f"logit {score.logit:+.3f}, probability {_probability(score.logit):.4f}, by run {score.run_id}",
        ),
        *fact("read", "its beginning: the tail was cut at the token limit" if score.truncated else None),
        *fact(
            "decay",
            f"{decay:.3f} = ln 2 × {_age_hours(case):.2f} h ÷ {topic.half_life_hours:g} h, age by half-life",
        ),
        *fact("rank score", f"{score.logit - decay:+.3f} = logit − decay"),
        *fact("min_score", None if topic.min_score is None else f"{topic.min_score:+g}"),
    )


def _below_min_score(case: Case, score: PairScore) -> Answer | None:
    least = case.topic.min_score
    if least is None or score.logit >= least:
        return None
    said = f"Its logit {score.logit:+.3f} is below the topic's min_score {least:+g}."
    return Answer("below_min_score", said)


def _why_not_shown(case: Case, scorer_id: int | None) -> Answer:
    order = _order(case, scorer_id)
    names, top_k = [name for name, _ in order], case.topic.top_k
    place = names.index(case.article_id) if case.article_id in names else None
    if place is not None:
        composed = _ranked(case, scorer_id, case.topic, composed=True)
        if place in composed.composed.rows:
            rank = composed.composed.rows.index(place) + 1
            return Answer(
                "hidden_then",
                f"It would stand at {rank}, with {order[place][1]:+.3f}, but was hidden or deleted when this page was"
                " published; the next publication shows it.",
            )
        answer = why_left_out(case, composed, place)
        if answer is not None:
            return answer
    where = "" if place is None else f" It would stand at {place + 1}, with {order[place][1]:+.3f}."
    last = f" of {order[top_k - 1][1]:+.3f}" if len(order) >= top_k else ""
    return Answer(
        "below_top_k", f"The page shows the best {top_k}, and it is below the last of them{last}.{where}"
    )


def _why_this_rank(case: Case, row: RowMapping, scorer_id: int | None) -> Answer:
    rank, order = row["rank"], _order(case, scorer_id)
    sentence = (
        f"Rank {rank}: its logit {row['logit']:+.3f} less {row['logit'] - row['rank_score']:.3f} for its age gives"
        f" {row['rank_score']:+.3f}."
    )
    if row["moved_by"] is not None or row["moved"]:
        return Answer(
            "ranked",
            f"{sentence} {why_moved(case, row, _ranked(case, scorer_id, case.topic, composed=True))}",
        )
    is_composed = case.acts or case.topic.max_per_source is not None or case.topic.diversity
    if rank > 1 and rank - 2 < len(order) and not is_composed:
        sentence += f" The article before it has {order[rank - 2][1]:+.3f}."
    if rank < len(order) and not is_composed:
        sentence += f" The one after it has {order[rank][1]:+.3f}."
    return Answer("ranked", sentence)


def _of_scorer(pairs: pa.Table, scorer_id: int | None) -> pa.Table:
    """The pairs whose topic this scorer ranks."""
    same = pc.equal(pairs.column("scorer_id"), pa.scalar(scorer_id, pa.int32()))
    return pairs.filter(pc.fill_null(same, False))


def _score(case: Case, scorer_id: int | None) -> PairScore | None:
    pairs = _of_scorer(case.own_pairs, scorer_id)
    if scorer_id is None or not pairs.num_rows:
        return None
    pair = pairs.select(["query_id", "document_id", "month"]).slice(0, 1).to_pylist()[0]
    row = case.one("explain.score", scorer_id=scorer_id, **pair)
    return (
        None if row is None else PairScore(float(np.float32(row["logit"])), row["run_id"], row["truncated"])
    )


def _order(case: Case, scorer_id: int | None) -> Order:
    """Every article of the topic that could be ranked by the model, ranked by its score alone, without top_k."""
    plain = replace(case.topic, top_k=max(1, case.topic_pairs.num_rows), max_per_source=None, diversity=0.0)
    ranked = _ranked(case, scorer_id, plain, composed=False)
    names = case.clusters.article_ids[ranked.places].tolist()
    return list(zip(names, ranked.rank_score.tolist(), strict=True))


def _ranked(case: Case, scorer_id: int | None, topic: Topic, *, composed: bool) -> Ranked:
    """The topic's rows that the model ranks; `composed`: with the acts that the run follows."""
    pairs = _of_scorer(case.topic_pairs, scorer_id)
    scores = ledger.lookup_pairs(case.connection, scorer_id or 0, pairs)
    document_ids = pairs.column("document_id").to_numpy()
    places = scores.positions(pairs.column("query_id").to_numpy(), document_ids)
    known = places >= 0
    nothing = np.zeros(0)
    composer = Composer(case.connection, case.members, case.clusters, case.acts if composed else ())
    order = order_topic(
        topic=topic,
        clusters=case.clusters,
        document_ids=document_ids[known],
        logit=scores.logit[places[known]].astype(np.float64),
        light=np.zeros(int(known.sum())),
        truncated=np.zeros(int(known.sum()), dtype=bool),
        unscored_ids=nothing.astype(np.int64),
        unscored_light=nothing,
    )
    return composer.compose([order])[0]


def _age_hours(case: Case) -> float:
    age = case.run.window.until - case.member["began_at"]
    return max(0.0, float(age.total_seconds()) / 3600)


def _decay(case: Case) -> float:
    """In logits: ln 2 × age / half-life."""
    return math.log(2) * _age_hours(case) / case.topic.half_life_hours


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, logit))))
