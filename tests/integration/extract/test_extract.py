"""Claims: every revision of the source is owned by exactly one run, whenever it comes and however often one runs."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import sleep
from typing import Any
from uuid import uuid4

import pytest
from factories import Newsroom, statement_replaced
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from rerank_core.errors import FencedError, SourceError
from rerank_core.extract import extract
from rerank_core.records import Run
from rerank_core.storage import runs, source
from rerank_core.storage.source import Relations


def claim(room: Newsroom, key: str | None = None, **options: Any) -> dict[str, Any]:
    """The counts of one run's claim."""
    found = room.stage("extract", room.open(key, **options))
    assert found["sighted"] == sum(
        found[name] for name in ("claimed", "unchanged", "too_late", "later", "forgotten", "invalid")
    )
    return found


def counts(found: dict[str, Any]) -> dict[str, int]:
    """Those that are not zero."""
    names = ("sighted", "claimed", "unchanged", "too_late", "later", "forgotten", "invalid")
    return {name: found[name] for name in names if found[name]}


def claimed(room: Newsroom) -> list[tuple[str, int]]:
    """(article, number) of every revision."""
    return [tuple(row) for row in room.sql("SELECT article_id, number FROM rerank.revision ORDER BY 1, 2")]


def test_an_article_is_claimed_once_with_its_text(room: Newsroom) -> None:
    room.add("a", summary="s", body="<b>raw</b>", url="http://x.example/a")
    assert counts(claim(room)) == {"sighted": 1, "claimed": 1}
    assert counts(claim(room)) == {"sighted": 1, "unchanged": 1}
    assert [tuple(row) for row in room.sql("SELECT title, summary, body FROM rerank.revision_text")] == [
        ("a", "s", "<b>raw</b>")
    ]
    assert room.value("SELECT url FROM rerank.revision") == "http://x.example/a"


def test_rows_that_commit_late_or_out_of_order_are_claimed_by_the_next_run(room: Newsroom) -> None:
    late = room.database._engine.connect()
    late.execute(
        text(
            "INSERT INTO rerank.article (article_id, ingested_at) VALUES ('late', now() - interval '1 hour')"
        )
    )
    room.add("early", ingested_at=room.ago(minutes=30))
    assert counts(claim(room)) == {"sighted": 1, "claimed": 1}
    late.commit()
    late.close()
    room.add("older still", ingested_at=room.ago(hours=20))
    assert counts(claim(room)) == {"sighted": 3, "claimed": 2, "unchanged": 1}


def test_control_a_watermark_loses_the_row_that_commits_late(room: Newsroom) -> None:
    late = room.database._engine.connect()
    late.execute(
        text(
            "INSERT INTO rerank.article (article_id, ingested_at) VALUES ('late', now() - interval '1 hour')"
        )
    )
    room.add("early", ingested_at=room.ago(minutes=30))
    since_watermark = "SELECT article_id FROM rerank.article WHERE ingested_at > :watermark"
    seen = room.sql(since_watermark, watermark=room.ago(days=7))
    watermark = room.value("SELECT max(ingested_at) FROM rerank.article")
    late.commit()
    late.close()
    seen += room.sql(since_watermark, watermark=watermark)
    assert [row.article_id for row in seen] == ["early"]


def test_hours_in_which_nothing_ran_are_claimed_by_the_next_run(room: Newsroom) -> None:
    for hour in range(1, 6):
        room.add(f"hour {hour}", ingested_at=room.ago(hours=hour))
    assert counts(claim(room, until=room.ago(hours=4, minutes=30))) == {
        "sighted": 5,
        "claimed": 1,
        "later": 4,
    }
    assert counts(claim(room)) == {"sighted": 5, "claimed": 4, "unchanged": 1}


def test_an_edit_and_its_return_are_three_revisions(room: Newsroom) -> None:
    room.add("a", body="A")
    for body in ("B", "A"):
        claim(room)
        room.edit("a", body=body)
    claim(room)
    assert claimed(room) == [("a", 1), ("a", 2), ("a", 3)]
    assert [row.body for row in room.sql("SELECT body FROM rerank.revision_text ORDER BY revision_id")] == [
        "A",
        "B",
        "A",
    ]


def test_an_edit_keeps_the_time_of_the_first_ingestion(room: Newsroom) -> None:
    room.add("a", ingested_at=room.ago(hours=9))
    claim(room)
    room.edit("a", title="new", ingested_at=room.ago(hours=1))
    claim(room)
    times = room.sql("SELECT ingested_at, first_ingested_at FROM rerank.revision ORDER BY number")
    assert [tuple(row) for row in times] == [
        (room.ago(hours=9), room.ago(hours=9)),
        (room.ago(hours=1), room.ago(hours=9)),
    ]


def test_every_row_of_the_source_is_in_one_bucket(room: Newsroom) -> None:
    room.sql("CREATE TABLE feed (LIKE rerank.source_article)")
    rows = [
        ("known", "1", room.ago(minutes=9)),
        ("new", "1", room.ago(minutes=9)),
        ("at the edge of the lookback", "1", room.ago(days=7)),
        ("too late", "1", room.ago(days=7, seconds=1)),
        ("at until", "1", room.now),
        ("later", "1", room.now + timedelta(days=1)),
        (None, "1", room.ago(minutes=9)),
        ("no version", None, room.ago(minutes=9)),
        ("no time", "1", None),
    ]
    for article_id, version, ingested_at in rows:
        room.sql(
            "INSERT INTO feed (article_id, version, ingested_at) VALUES (:a, :v, :i)",
            a=article_id,
            v=version,
            i=ingested_at,
        )
    room.sql("INSERT INTO rerank.claim VALUES ('news', 'known', '1', 1, :at)", at=room.ago(minutes=9))
    found = claim(room.tuned(source_view="feed"), until=room.now)
    assert counts(found) == {
        "sighted": 9,
        "claimed": 2,
        "unchanged": 1,
        "too_late": 1,
        "later": 2,
        "invalid": 3,
    }
    assert claimed(room) == [("at the edge of the lookback", 1), ("new", 1)]


def test_a_row_that_was_claimed_in_time_is_not_called_too_late_afterwards(room: Newsroom) -> None:
    room.add("a", ingested_at=room.ago(days=3))
    claim(room)
    assert counts(claim(room.tuned(lookback_days=1.0))) == {"sighted": 1, "unchanged": 1}


def test_a_run_that_has_claimed_claims_no_more(room: Newsroom) -> None:
    room.add("a")
    claim(room, "k")
    room.add("b")
    assert claim(room, "k")["claimed"] == 1
    assert claimed(room) == [("a", 1)]
    assert claim(room, "next")["claimed"] == 1


def test_pipelines_do_not_take_articles_from_one_another(room: Newsroom) -> None:
    room.add("a")
    assert claim(room)["claimed"] == 1
    assert claim(room.tuned(pipeline="shadow"))["claimed"] == 1


def test_an_overtaken_try_claims_nothing(room: Newsroom) -> None:
    room.add("a")
    run = room.open()
    with room.database.transaction() as connection:
        old = runs.take_fence(connection, run.run_id)
        new = runs.take_fence(connection, run.run_id)
    arguments: dict[str, Any] = {"database": room.database, "settings": room.settings, "run": run}
    with pytest.raises(FencedError, match=f"expected fence {old}, found {new}"):
        extract.extract(**arguments, fence=old)
    assert claimed(room) == []
    assert extract.extract(**arguments, fence=new).claimed == 1


def test_claims_at_the_same_time_lose_and_double_nothing(room: Newsroom) -> None:
    claimers, batches = 4, 5
    done = threading.Event()

    def insert() -> None:
        for batch in range(batches):
            room.add(*(f"{batch}.{number}" for number in range(10)))
        done.set()

    def claim_until_done() -> int:
        taken = 0
        while True:
            last = done.is_set()
            taken += claim(room, key=str(uuid4()))["claimed"]
            if last:
                return taken

    with ThreadPoolExecutor(claimers + 1) as threads:
        writer = threads.submit(insert)
        takers = [threads.submit(claim_until_done) for _ in range(claimers)]
        writer.result()
        taken = sum(taker.result() for taker in takers)
    assert taken == batches * 10
    assert len({article for article, _ in claimed(room)}) == len(claimed(room)) == batches * 10


def meet(room: Newsroom) -> extract.Extracted:
    """A second run claims while a first one has claimed and not committed; the second one's counts."""
    room.add("a", "b")
    first, second = room.open("first"), room.open("second")
    view = room.settings.source_view

    def take(connection: Any, run: Run) -> extract.Extracted:
        return extract._claim(connection, run, run.fence, view, Relations(keys=view, rows=view))

    def take_second() -> extract.Extracted:
        with room.database.transaction() as connection:
            return take(connection, second)

    with ThreadPoolExecutor(1) as threads:
        with room.database.transaction() as connection:
            assert take(connection, first).claimed == 2
            waiting = threads.submit(take_second)
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            while not room.value(blocked):
                assert not waiting.done()
                sleep(0.01)
        return waiting.result()


def test_a_second_claim_waits_for_the_first_and_finds_nothing_left(room: Newsroom) -> None:
    found = meet(room)
    assert (found.claimed, found.unchanged) == (0, 2)
    assert claimed(room) == [("a", 1), ("b", 1)]


def test_control_without_the_lock_a_second_claim_takes_the_same_rows(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_replaced(monkeypatch, "runs.lock_claims", "SELECT CAST(:pipeline AS text)")
    with pytest.raises(IntegrityError, match="revision_pipeline_article_id_number_key"):
        meet(room)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("article_id::bigint", "article_id is bigint; write CAST(article_id AS text) AS article_id"),
        (
            "ingested_at::timestamp",
            "ingested_at has no time zone; write ingested_at AT TIME ZONE 'UTC' AS ingested_at",
        ),
        ("-body", "column body is missing (select NULL::text AS body if you have none)"),
        ("-version", "column version is missing"),
        ("published_at::date", "published_at is date"),
    ],
)
def test_a_view_that_breaks_the_contract_is_told_what_to_write(
    room: Newsroom, columns: str, message: str
) -> None:
    chosen = []
    for name in source.CONTRACT:
        if columns.startswith(f"{name}::"):
            chosen.append(f"CAST(NULL AS {columns.partition('::')[2]}) AS {name}")
        elif columns != f"-{name}":
            chosen.append(name)
    room.sql(f"CREATE VIEW feed AS SELECT {', '.join(chosen)} FROM rerank.source_article")
    with pytest.raises(SourceError) as caught:
        claim(room.tuned(source_view="feed"))
    assert str(caught.value).startswith("source view feed: ")
    assert message in str(caught.value)


def test_all_problems_of_a_view_are_told_at_once(room: Newsroom) -> None:
    room.sql("CREATE VIEW feed AS SELECT 1 AS article_id")
    with pytest.raises(SourceError) as caught:
        claim(room.tuned(source_view="feed"))
    assert str(caught.value).count(";") >= len(source.CONTRACT) - 1


def test_a_view_that_does_not_exist_is_named(room: Newsroom) -> None:
    with pytest.raises(
        SourceError, match="source view news.feed does not exist; create it, or set RERANK_SOURCE_VIEW"
    ):
        claim(room.tuned(source_view="news.feed"))


def doubled(room: Newsroom) -> Newsroom:
    """A source view that can show an article twice."""
    room.sql("CREATE TABLE feed (LIKE rerank.source_article)")
    return room.tuned(source_view="feed")


def put(room: Newsroom, article_id: str, version: str) -> None:
    room.sql(
        "INSERT INTO feed (article_id, version, ingested_at) VALUES (:a, :v, :at)",
        a=article_id,
        v=version,
        at=room.ago(minutes=5),
    )


@pytest.mark.parametrize("versions", [("1", "1"), ("1", "2")])
def test_an_article_that_stands_in_the_view_twice_is_named_and_nothing_claimed(
    room: Newsroom, versions: tuple[str, str]
) -> None:
    room = doubled(room)
    put(room, "fine", "1")
    for version in versions:
        put(room, "twice", version)
    with pytest.raises(
        SourceError, match=r"source view feed shows articles more than once: 'twice' \(2 rows\)"
    ):
        claim(room)
    assert claimed(room) == []


def test_an_article_that_comes_to_stand_there_twice_is_not_claimed_by_turns(room: Newsroom) -> None:
    room = doubled(room)
    put(room, "twice", "1")
    claim(room)
    put(room, "twice", "2")
    with pytest.raises(SourceError, match=r"'twice' \(2 rows\)"):
        claim(room)
    assert claimed(room) == [("twice", 1)]
