"""Claimed articles become documents; one that cannot goes to quarantine alone."""

from typing import Any

import pytest
from factories import Newsroom, statement_replaced

from rerank_core import prepare, runs
from rerank_core.errors import CorruptError, FencedError


def test_equal_texts_share_one_document_and_the_counts_add_up(room: Newsroom) -> None:
    room.add("first", title="Same title", body="<p>Same text</p>")
    room.add("second", title="Same title", body="Same  text")
    room.add("other", title="Other title")
    room.add("empty", title="<p> </p>", body="---")
    run = room.until("prepare")
    assert run.claimed
    found = room.stage("prepare", run)
    assert [found[name] for name in ("revisions", "documents", "copies", "quarantined")] == [4, 2, 1, 1]
    documents = dict(tuple(row) for row in room.sql("SELECT article_id, document_id FROM rerank.revision"))
    assert documents["first"] == documents["second"] != documents["other"]
    assert documents["empty"] is None
    quarantined = room.sql(
        "SELECT article_id, stage, reason FROM rerank.quarantine JOIN rerank.revision USING (revision_id)"
    )
    assert [tuple(row) for row in quarantined] == [
        ("empty", "prepare", "empty: no letter or digit in title, summary and body")
    ]


def test_a_copy_that_a_later_run_claims_is_the_same_document(room: Newsroom) -> None:
    room.add("first", title="Same")
    room.until("recall", "one")
    room.add("second", title="Same")
    room.until("recall", "two")
    assert room.value("SELECT count(*) FROM rerank.document") == 1
    assert room.value("SELECT count(DISTINCT document_id) FROM rerank.revision") == 1


def test_the_raw_text_is_not_altered(room: Newsroom) -> None:
    raw = {
        "title": "<b>Title</b> &amp; more",
        "summary": "  spaced  ",
        "body": "<script>x()</script>\r\n<p>Text</p>",
    }
    room.add("a", **raw)
    room.until("recall")
    for table in ("rerank.revision_text", "rerank.article"):
        assert dict(room.sql(f"SELECT title, summary, body FROM {table}")[0]._mapping) == raw
    assert room.value("SELECT title FROM rerank.revision") == "Title & more"
    assert room.value("SELECT text FROM rerank.document") == "Title & more\n\nspaced\n\nText"


def breaks_on(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """A parser that fails on texts with this word."""
    original = prepare.plain_text

    def fails(raw: str | None) -> str:
        if raw and word in raw:
            raise RecursionError(word)
        return original(raw)

    monkeypatch.setattr(prepare, "plain_text", fails)


def test_an_article_that_breaks_the_parser_does_not_take_the_others_with_it(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks_on(monkeypatch, "poison")
    room.add("good", "poison", "good too")
    found = room.stage("prepare", room.until("prepare"))
    assert (found["documents"], found["quarantined"]) == (2, 1)
    assert (
        room.value("SELECT reason FROM rerank.quarantine") == "unreadable: RecursionError in its preparation"
    )


def test_more_articles_than_a_batch_are_all_prepared(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "BATCH", 3)
    room.add(*(f"article {number}" for number in range(10)))
    assert room.stage("prepare", room.until("prepare"))["documents"] == 10


def test_a_try_that_was_cut_off_is_taken_up_where_it_stopped(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "BATCH", 2)
    room.add("a", "b", "c", "d", "e")
    run = room.until("prepare")
    prepared: list[str] = []
    original = prepare.to_document

    def at_most_three(**parts: Any) -> Any:
        if len(prepared) == 3:
            raise KeyboardInterrupt
        prepared.append(parts["title"])
        return original(**parts)

    monkeypatch.setattr(prepare, "to_document", at_most_three)
    with pytest.raises(KeyboardInterrupt):
        room.stage("prepare", run)
    assert prepared == ["a", "b", "c"]
    assert room.value("SELECT count(document_id) FROM rerank.revision") == 2
    monkeypatch.setattr(
        prepare, "to_document", lambda **parts: prepared.append(parts["title"]) or original(**parts)
    )
    assert room.stage("prepare", run)["documents"] == 5
    assert prepared[3:] == ["c", "d", "e"]
    assert room.again(run).prepared


def test_what_a_run_claimed_and_never_prepared_is_prepared_by_the_next_one(room: Newsroom) -> None:
    room.add("orphan")
    room.until("prepare", "died")
    room.add("mine")
    found = room.stage("prepare", room.until("prepare", "next"))
    assert found["revisions"] == found["documents"] == 1
    assert room.value("SELECT count(document_id) FROM rerank.revision") == 2


def test_an_overtaken_try_prepares_nothing(room: Newsroom) -> None:
    room.add("a")
    run = room.until("prepare")
    with room.database.transaction() as connection:
        old = runs.take_fence(connection, run.run_id)
        runs.take_fence(connection, run.run_id)
    with pytest.raises(FencedError):
        prepare.prepare(database=room.database, run=run, fence=old)
    assert room.value("SELECT count(*) FROM rerank.document") == 0


def test_revisions_that_land_in_no_bucket_fail_the_stage(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_replaced(
        monkeypatch, "prepare_quarantine", "SELECT CAST(:revision_ids AS bigint[]), CAST(:reasons AS text[])"
    )
    room.add("good")
    room.add("empty", title="")
    with pytest.raises(CorruptError, match="do not add up"):
        room.stage("prepare", room.until("prepare"))


@pytest.mark.parametrize(
    ("title", "claimed", "lang", "term"),
    [
        ("中国发布新一代人工智能发展规划", None, "zh", "人工智能"),
        ("東京でAIの新しい規制", "ja-JP", "ja", "東京"),
        ("삼성전자 실적", None, "ko", "삼성"),
        ("Solar Power", "en", "en", "solar"),
    ],
)
def test_language_and_terms_are_stored_with_the_document(
    room: Newsroom, title: str, claimed: str | None, lang: str, term: str
) -> None:
    room.add("a", title=title, lang=claimed)
    room.until("recall")
    row = room.sql("SELECT lang, length, terms FROM rerank.document")[0]
    assert (row.lang, row.length) == (lang, len(title))
    assert term in row.terms.split(" ")
