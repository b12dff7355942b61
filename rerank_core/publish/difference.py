"""Why a version of a run's page has other rows than the version before.

A rerun must repeat its rows or say why not. So each known reason is counted: scores that came, went or changed, articles that
are hidden now or shown again, near-copies that are counted or not, acts of editors that came or went. A difference without a known reason is an error in the log.
"""

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, RowMapping

from rerank_core.publish import editorial
from rerank_core.publish.publications import Draft
from rerank_core.publish.verdict import Verdict
from rerank_core.storage import database as db

log = logging.getLogger(__name__)

# Why an article is hidden → what a difference says of articles that the version before showed.
GONE = {
    "blocked": "were hidden by hand",
    "deleted": "are gone from the source",
    "forgotten": "were forgotten",
}


def difference(
    connection: Connection, *, before: RowMapping | None, draft: Draft, verdict: Verdict
) -> str | None:
    """The reasons why the rows of `draft` differ from those of the publication `before`; None if they are equal.

    `before` is a row of the statement publish.latest; None: the run has no version yet.
    """
    if before is None or before["rows_sha256"] == draft.rows_sha256:
        return None
    old_rows = db.rows(connection, "publish.rows", publication_id=before["publication_id"])
    reasons = _scores_that_came_or_went(before, verdict)
    reasons += _scores_that_changed(old_rows, draft)
    reasons += _articles_that_came_or_went(connection, before, old_rows, draft, verdict)
    reasons += _copies_that_changed(old_rows, draft)
    reasons += _acts_that_changed(connection, before, verdict)
    if not reasons:
        log.error(
            "run %d: the rows differ from version %d for no known reason", before["run_id"], before["version"]
        )
        reasons.append("unexplained")
    return "; ".join(reasons)


def _scores_that_came_or_went(before: RowMapping, verdict: Verdict) -> list[str]:
    reasons = []
    missing = verdict.missing
    if missing < before["missing"]:
        reasons.append(f"healed: {before['missing'] - missing} pairs have a score now")
    lost = max(verdict.standings.lost, missing - before["missing"])
    if verdict.blocked is not None and lost > 0:
        reasons.append(f"blocked: {lost} pairs have a score that counts for nothing")
    elif lost > 0:
        reasons.append(f"past retention: {lost} pairs have lost their score")
    return reasons


def _scores_that_changed(old_rows: Sequence[RowMapping], draft: Draft) -> list[str]:
    # Postgres gives a real as its shortest decimal: the same float32, but another float64.
    old_logits = {
        (row["slug"], row["scored_document_id"]): np.float32(row["logit"])
        for row in old_rows
        if row["logit"] is not None
    }
    columns = (draft.rows.column(name).to_pylist() for name in ("topic", "scored_document_id", "logit"))
    rescored = sum(
        old_logits.get((slug, document_id), np.float32(logit)) != np.float32(logit)
        for slug, document_id, logit in zip(*columns, strict=True)
        if logit is not None
    )
    return [f"rescored: {rescored} pairs have another score"] if rescored else []


def _articles_that_came_or_went(
    connection: Connection, before: RowMapping, old_rows: Sequence[RowMapping], draft: Draft, verdict: Verdict
) -> list[str]:
    reasons = []
    shown_before = {row["article_id"] for row in old_rows}
    shown = set(draft.rows.column("article_id").to_pylist())
    gone = Counter(verdict.hidden[article_id] for article_id in shown_before & set(verdict.hidden))
    if gone:
        reasons.append(
            "deleted: " + ", ".join(f"{gone[why]} articles {text}" for why, text in GONE.items() if gone[why])
        )
    was_hidden = db.rows(connection, "publish.was_hidden", publication_id=before["publication_id"])
    back = len(shown & {row["article_id"] for row in was_hidden})
    if back:
        reasons.append(f"restored: {back} articles are shown again")
    if before["early"]:
        reasons.append("prepared: the version before lacks articles that were not prepared yet")
    if before["trimmed"]:
        reasons.append("filled up: the version before left the places of forgotten articles empty")
    return reasons


def _copies_that_changed(old_rows: Sequence[RowMapping], draft: Draft) -> list[str]:
    old_copies = {(row["slug"], row["article_id"]): row["copies"] for row in old_rows}
    columns = (draft.rows.column(name).to_pylist() for name in ("topic", "article_id", "copies"))
    changed = sum(
        old_copies.get((slug, article_id), copies) != copies
        for slug, article_id, copies in zip(*columns, strict=True)
    )
    return (
        [f"copies: {changed} rows count other copies, which were hidden or are shown again"]
        if changed
        else []
    )


def _acts_that_changed(connection: Connection, before: RowMapping, verdict: Verdict) -> list[str]:
    """Editors' acts that the version before did not follow, or that this version does not; a rerun follows the same."""
    old, new = editorial.kept(connection, before["run_id"]), {act.act_id for act in verdict.acts}
    if old == new:
        return []
    return [f"editorial: {len(new - old)} acts of editors came, {len(old - new)} went"]
