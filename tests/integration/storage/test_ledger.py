"""What the ledger is asked for: the documents of a window, month by month. And two that write the same pairs."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from time import sleep
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from factories import Newsroom, make_pair, make_score, statement_replaced

from rerank_core.errors import DatabaseUnavailable
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer
from rerank_core.storage import database as db
from rerank_core.storage import ledger
from rerank_core.storage.ledger import Lookup

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)


def looked_up(room: Newsroom, documents: dict[int, date]) -> Lookup:
    """What is found for query 1 of these documents, when 1 to 9 of March and 10 to 19 of April are scored."""
    scored = {**dict.fromkeys(range(1, 10), MARCH), **dict.fromkeys(range(10, 20), APRIL)}
    with room.database.transaction() as connection:
        scorer_id = scorers.register(connection, FakeScorer().identity)
        scores = [
            make_score(make_pair(document_id=number, month=month), logit=float(number))
            for number, month in scored.items()
        ]
        ledger.write(
            connection,
            scores,
            scorer_id=scorer_id,
            run_id=1,
            shard=0,
            engine="fake",
            device="none",
            replace=False,
        )
        window = pa.table({"document_id": pa.array(documents, pa.int64()), "month": list(documents.values())})
        return ledger.lookup(connection, scorer_id=scorer_id, query_ids=[1, 2], documents=window)


def test_every_document_of_a_window_over_two_months_is_found(room: Newsroom) -> None:
    window = {2: MARCH, 9: MARCH, 10: APRIL, 14: APRIL, 15: APRIL}
    found = looked_up(room, window)
    ids = np.asarray(list(window))
    assert found.logit[found.positions(np.ones_like(ids), ids)].tolist() == [2.0, 9.0, 10.0, 14.0, 15.0]


def test_scores_from_before_and_after_the_window_are_not_read(room: Newsroom) -> None:
    found = looked_up(room, {8: MARCH, 9: MARCH, 10: APRIL, 12: APRIL})
    assert sorted(found.logit.tolist()) == [8.0, 9.0, 10.0, 11.0, 12.0]


def test_an_old_text_in_the_window_does_not_bring_all_since_then(room: Newsroom) -> None:
    assert sorted(looked_up(room, {2: MARCH, 18: APRIL, 19: APRIL}).logit.tolist()) == [2.0, 18.0, 19.0]


def test_an_empty_window_has_no_scores(room: Newsroom) -> None:
    assert looked_up(room, {}).logit.tolist() == []


def meet(room: Newsroom) -> list[int]:
    """One writer has the first of two pairs, another one brings both, and the first one goes on to the second pair."""
    first, second = (make_pair(document_id=number, month=MARCH) for number in (1, 2))
    with room.database.transaction() as connection:
        scorer_id = scorers.register(connection, FakeScorer().identity)
        ledger.ensure_months(connection, [MARCH])

    def keep(connection: Any, *pairs: Any) -> int:
        values = {"scorer_id": scorer_id, "run_id": 1, "shard": 0, "engine": "fake", "device": "none"}
        return ledger.write(connection, [make_score(pair) for pair in pairs], replace=False, **values)

    def keep_both() -> int:
        with room.database.transaction() as connection:
            return keep(connection, second, first)

    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with ThreadPoolExecutor(1) as pool:
        with room.database.transaction() as connection:
            written = [keep(connection, first)]
            both = pool.submit(keep_both)
            while not (room.value(waits) or both.done()):
                sleep(0.01)
            written.append(keep(connection, second))
        return [*written, both.result()]


def test_two_that_write_the_same_pairs_wait_for_each_other_in_one_order_alone(room: Newsroom) -> None:
    assert meet(room) == [1, 1, 0]
    assert room.value("SELECT count(*) FROM rerank.pair_score") == 2


def test_control_in_another_order_they_lock_each_other_out(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_given = db.statement_texts()["ledger.add"]
    backwards = as_given.replace("ORDER BY query_id, document_id", "ORDER BY query_id, document_id DESC")
    assert backwards != as_given
    statement_replaced(monkeypatch, "ledger.add", backwards)
    with pytest.raises(DatabaseUnavailable, match="deadlock"):
        meet(room)
