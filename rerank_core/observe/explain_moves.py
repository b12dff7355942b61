"""What moved the article's row from its order, or left it out: editors, diversity, or the limit of its source."""

from sqlalchemy import RowMapping

from rerank_core.observe.explanation import Answer, Case
from rerank_core.publish.editorial import told
from rerank_core.publish.ranking import Ranked
from rerank_core.records import Act


def why_brought(case: Case, row: RowMapping) -> Answer:
    """Of a row that neither the model nor the light order ranks."""
    act = _act_on(case)
    by = "an editor pinned it" if act is None else told(act)
    return Answer("ranked", f"Rank {row['rank']}: {by}. Neither the model nor the light order ranks it here.")


def why_moved(case: Case, row: RowMapping, ranked: Ranked) -> str:
    """A sentence on a row that the order alone would put elsewhere, or that an editor holds in its place."""
    moved, act = row["moved"], _act_on(case)
    if moved is None:
        return f"By its score it would not be on the page: {_named(act)}."
    by_score = f"By its score it would stand at {row['rank'] + moved}"
    if row["moved_by"] in ("pin", "boost", "demote"):
        return (
            f"{by_score}: {_named(act)}."
            if moved
            else f"It would stand there by its score, too: {_named(act)}."
        )
    if row["moved_by"] == "diversity":
        return f"{by_score}: it fell by {-moved}, because {_resembles(case, ranked, _own_row(case, ranked))}."
    if row["moved_by"] == "source_limit":
        return (
            f"{by_score}: it rose by {moved}, because rows above it were left out for their source, or moved."
        )
    return f"{by_score}: other rows were moved."


def why_left_out(case: Case, ranked: Ranked, row: int) -> Answer | None:
    """Why composition keeps a row of the order from the page; None if it does not."""
    composed, topic = ranked.composed, case.topic
    by_score = f" By its score it would stand at {row + 1}."
    if row in composed.left_out:
        return Answer(
            "over_source_limit",
            f"Left out: it would be row {composed.left_out[row]} of source {case.member['source']!r}, and the topic shows at most"
            f" {topic.max_per_source}.{by_score}",
        )
    if row >= topic.top_k:
        return None
    act = _act_on(case)
    why = _resembles(case, ranked, row) if row in composed.resembles else "rows were moved above it"
    if act is not None and act.kind == "demote":
        why = told(act)
    return Answer("moved_off", f"It is below the best {topic.top_k}: {why}.{by_score}")


def _act_on(case: Case) -> Act | None:
    """The act on the article, or on a near-copy that it stands for."""
    if case.act is not None:
        return case.act
    located = case.clusters.locate(case.members, case.acts) if case.acts else []
    documents = case.clusters.document_ids
    own = case.member["scored_document_id"]
    return next((placed.act for placed in located if documents[placed.place] == own), None)


def _named(act: Act | None) -> str:
    return "an editor moved it" if act is None else told(act)


def _own_row(case: Case, ranked: Ranked) -> int:
    documents: list[int] = case.clusters.document_ids[ranked.order].tolist()
    return documents.index(case.member["scored_document_id"])


def _resembles(case: Case, ranked: Ranked, row: int) -> str:
    """Which row above a row resembles, and how much."""
    near = ranked.composed.resembles.get(row)
    if near is None:
        return "it resembles a row above it"
    name = case.clusters.article_ids[ranked.order[near.row]]
    return f"about {near.similarity:.0%} of its shingles are those of article {name}, above it"
