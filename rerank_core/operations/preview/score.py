"""Scores for a preview: a few pairs go through the engine, and no score is kept."""

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from time import monotonic

import numpy as np

from rerank_core.models import scorers
from rerank_core.operations.preview.look import Look, Looked
from rerank_core.recall.budget import fair_shares
from rerank_core.records import Pair
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.database import Database
from rerank_core.storage.languages import comparable


def score_best(
    database: Database, settings: Settings, look: Look, found: Sequence[Looked], most: int
) -> list[Looked]:
    """The topics with scores for their best candidates, `most` pairs at most, shared max-min fairly over the topics.

    Raises what scorers.load and the engine raise. No engine is built if there is no pair.
    """
    wanted = [each.chosen.order[each.unscored[each.chosen.order]] for each in found]
    shares = fair_shares([len(positions) for positions in wanted], most)
    chosen = [positions[:share] for positions, share in zip(wanted, shares, strict=True)]
    pairs, place_of = _pairs(database, look, found, chosen)
    if not pairs:
        return list(found)
    logits = [each.logit.copy() for each in found]
    refused = [each.refused.copy() for each in found]
    with closing(scorers.load(settings, pairs=len(pairs))) as scorer:
        deadline = monotonic() + settings.scoring_minutes * 60
        for chunk in scorer.score(pairs, flush_seconds=math.inf, deadline=deadline):
            for score in chunk.scores:
                number, position = place_of[score.pair.query_id, score.pair.document_id]
                logits[number][position] = score.logit
            for refusal in chunk.refused:
                number, position = place_of[refusal.pair.query_id, refusal.pair.document_id]
                refused[number][position] = True
    return [
        replace(each, logit=logit, refused=refusals)
        for each, logit, refusals in zip(found, logits, refused, strict=True)
    ]


def _pairs(
    database: Database, look: Look, found: Sequence[Looked], chosen: Sequence[Ids]
) -> tuple[list[Pair], dict[tuple[int, int], tuple[int, int]]]:
    """The pairs of these positions, topic by topic; and (query, document) → the topic's place and the position."""
    document_ids = look.window.document_ids
    ids = np.unique(document_ids[np.concatenate([np.zeros(0, dtype=np.int64), *chosen])]).tolist()
    with database.transaction(read_only=True) as connection:
        rows = db.rows(connection, "pair_texts.documents", document_ids=ids)
    documents = {row["document_id"]: row for row in rows}
    pairs: list[Pair] = []
    place_of: dict[tuple[int, int], tuple[int, int]] = {}
    for number, (each, positions) in enumerate(zip(found, chosen, strict=True)):
        for position in positions.tolist():
            document_id = int(document_ids[position])
            if document_id not in documents:  # forgotten meanwhile
                continue
            place_of[number, document_id] = (number, position)
            pairs.append(
                Pair(
                    query_id=number,  # its topic's place: the engine only hands it back
                    document_id=document_id,
                    month=date.min,
                    instruction=each.topic.instruction,
                    query=each.topic.query_for(comparable(look.window.lang(position))),
                    document=documents[document_id]["text"],
                    pictures=tuple(documents[document_id]["pictures"]),
                )
            )
    return pairs, place_of
