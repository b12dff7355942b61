"""Retention: rows past their time are deleted, and nothing that the page or a kept run needs."""

import pytest
from clean_ups import clean, files, is_whole, pass_days
from factories import Newsroom, statement_replaced
from sqlalchemy.exc import OperationalError

from rerank_core.errors import CorruptError
from rerank_core.storage.database import Database, sql_folder


def test_what_is_not_past_its_time_stays(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    room.run()
    before = files(room)
    found = clean(room)
    assert files(room) == before
    assert (found.files, found.files_named) == (len(before), len(before)) == (7, 7)
    assert (found.publications, found.publications_kept) == (1, 1)
    assert (found.months, found.months_kept) == (1, 1)
    assert not found.repaired
    deleted = [
        name for name in vars(found) if name.endswith(("_deleted", "_removed", "_emptied", "_dropped"))
    ]
    assert {vars(found)[name] for name in deleted} == {0}


def test_a_page_past_retention_goes_with_its_rows_and_its_files_follow_after_the_grace_period(
    two_pages: Newsroom,
) -> None:
    room = two_pages
    old = room.sql("SELECT parquet_path, publication_id FROM rerank.publication ORDER BY 2")[0]
    artifacts = room.sql("SELECT members_path, pairs_path FROM rerank.run WHERE key = 'old'")[0]
    found = clean(room)
    assert (found.publications_deleted, found.publications_kept, found.runs_emptied) == (1, 1, 1)
    assert (found.revisions_deleted, found.documents_deleted) == (1, 1)
    assert room.value("SELECT count(*) FROM rerank.ranking WHERE publication_id = :p", p=old[1]) == 0
    assert (
        room.value(
            "SELECT count(*) FROM rerank.run_metric m JOIN rerank.run USING (run_id) WHERE key = 'old'"
        )
        == 0
    )
    assert {old[0], *artifacts} <= files(room)  # a reader may hold their paths
    pass_days(room, 1.1)
    found = clean(room)
    assert found.files_removed == 6, (
        "and the topic's file and feeds: what left has no title any more, so they were written anew"
    )
    assert found.bytes_removed > 0
    assert files(room).isdisjoint({old[0], *artifacts})
    assert is_whole(room)
    assert clean(room).files_removed == 0


def test_a_run_past_retention_says_so_and_keeps_its_key(two_pages: Newsroom) -> None:
    clean(two_pages)
    run = two_pages.open("old")
    for stage in ("recall", "publish"):
        with pytest.raises(CorruptError, match=r"run \d+ \(old\) is past retention: .* start a new run"):
            two_pages.stage(stage, run)
    assert two_pages.value("SELECT count(*) FROM rerank.run WHERE key = 'old'") == 1


def test_an_article_past_retention_is_not_claimed_again_and_an_edit_of_it_is(two_pages: Newsroom) -> None:
    room = two_pages.tuned(lookback_days=1_000, gate_empty_share=1.0)
    clean(room)
    assert room.run()["extract"]["claimed"] == 0
    room.edit("solar old", title="solar edited")
    assert room.run()["extract"]["claimed"] == 1
    assert room.value("SELECT max(number) FROM rerank.revision WHERE article_id = 'solar old'") == 2


def test_a_revision_that_a_kept_run_can_rank_stays_though_its_own_run_is_gone(room: Newsroom) -> None:
    wide = room.tuned(freshness_hours=24 * 365, lookback_days=300)
    wide.follow("solar")
    wide.add("solar old")
    wide.run("old")
    pass_days(wide, 90)
    wide.add("solar new")
    wide.run("new")
    pass_days(wide, 10)
    before = wide.run("new")["publish"]["rows_sha256"]
    found = clean(wide)
    assert (found.publications_deleted, found.revisions_deleted, found.documents_deleted) == (1, 0, 0)
    assert wide.run("new")["publish"]["rows_sha256"] == before
    assert sorted(wide.page()) == ["solar new", "solar old"]


def test_rows_of_a_page_stay_readable_for_a_day_after_it_however_short_the_grace_period(
    room: Newsroom,
) -> None:
    hasty = room.tuned(store_grace_hours=1e-9)
    hasty.follow("solar")
    hasty.add("solar 1")
    hasty.run()
    pass_days(hasty, 100)
    hasty.add("solar 2")
    hasty.run()
    pages_of = "SELECT count(DISTINCT publication_id) FROM rerank.recent_ranking"
    pass_days(room, 0.9)
    assert clean(hasty).publications_kept == 2
    assert room.value(pages_of) == 2
    pass_days(room, 0.2)
    assert clean(hasty).publications_deleted == 1
    assert room.value(pages_of) == 1


class TestPage:
    """The page stays, however old it is."""

    def old_page(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run("k")
        pass_days(room, 400)

    def test_the_page_of_a_pipeline_that_stands_still_stays(self, room: Newsroom) -> None:
        self.old_page(room)
        for _ in range(2):
            assert clean(room).publications_kept == 1
            assert is_whole(room)
        assert room.run("k")["publish"]["rows"] == 1

    def test_control_a_clean_up_that_ignores_the_pointer_is_stopped_by_it(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.old_page(room)
        every = "SELECT publication_id, run_id, version, parquet_path, row_count FROM rerank.publication"
        statement_replaced(monkeypatch, "retention.publications", every)
        with pytest.raises(OperationalError, match="is a page"):
            clean(room)
        assert is_whole(room)

    def test_a_rollback_and_what_its_release_goes_to_both_stay(self, two_pages: Newsroom) -> None:
        room = two_pages
        room.sql(
            "UPDATE rerank.pointer SET held = true, publication_id = (SELECT min(publication_id) FROM rerank.publication)"
        )
        pass_days(room, 400)
        found = clean(room)
        assert (found.publications_kept, found.repaired) == (2, True)
        pass_days(room, 2)
        clean(room)
        assert is_whole(room)
        room.sql(
            "UPDATE rerank.pointer SET held = false, publication_id = (SELECT max(publication_id) FROM rerank.publication)"
        )
        clean(room)
        assert is_whole(room)


class TestTexts:
    def test_raw_text_goes_by_its_own_time_and_the_rest_stays(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1", "…")  # one is prepared, one in quarantine
        before = room.run("k")["publish"]["rows_sha256"]
        room.sql("UPDATE rerank.run SET claimed_at = claimed_at - interval '29 days'")
        assert clean(room).texts_deleted == 0
        room.sql("UPDATE rerank.run SET claimed_at = claimed_at - interval '2 days'")
        assert clean(room).texts_deleted == 2
        assert room.value("SELECT count(*) FROM rerank.revision_text") == 0
        assert room.value("SELECT count(*) FROM rerank.document") == 1
        assert room.run("k")["publish"]["rows_sha256"] == before

    def test_text_that_is_not_prepared_yet_stays(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.until("prepare")
        pass_days(room, 60)
        assert clean(room).texts_deleted == 0
        assert room.value("SELECT count(*) FROM rerank.revision_text") == 1

    def test_a_text_that_another_revision_has_stays(self, two_pages: Newsroom) -> None:
        two_pages.add("again", title="solar old")
        two_pages.run()
        assert clean(two_pages).documents_deleted == 0
        assert "again" in two_pages.page()


class TestLedger:
    @pytest.fixture
    def aged(self, room: Newsroom) -> Newsroom:
        """Scores of eight months ago."""
        room.follow("solar")
        room.add("solar 1")
        room.run("k")
        pass_days(room, 245)
        month = "date_trunc('month', now() - interval '8 months')::date"
        room.sql(f"SELECT rerank.ensure_month({month})")
        room.sql(f"UPDATE rerank.pair_score SET month = {month}")
        room.sql(f"UPDATE rerank.document SET month = {month}")
        return room

    def months(self, room: Newsroom) -> int:
        count: int = room.value(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'rerank.pair_score'::regclass"
        )
        return count

    def test_a_month_past_retention_is_dropped(self, aged: Newsroom) -> None:
        months = self.months(aged)
        assert clean(aged.tuned(ledger_retention_months=9)).months_dropped == 0
        found = clean(aged)
        assert (found.months, found.months_dropped) == (months, 1)
        assert self.months(aged) == months - 1
        assert is_whole(aged)

    def test_a_month_that_a_fresh_article_has_its_scores_in_is_not(self, aged: Newsroom) -> None:
        aged.add("again", title="solar 1")
        aged.run("again")
        assert clean(aged).months_needed == 1
        assert aged.value("SELECT count(*) FROM rerank.pair_score") == 1

    def test_a_month_that_another_pipelines_longer_window_reaches_back_to_is_not(
        self, aged: Newsroom
    ) -> None:
        wide = aged.tuned(pipeline="wide", freshness_hours=24 * 300, lookback_days=365)
        wide.follow("solar")
        wide.run("k")
        pass_days(aged, 2)  # none of its runs is of lately
        assert clean(aged).months_needed == 1
        assert wide.run("next")["publish"]["rows"] == 1

    def test_a_month_that_somebody_reads_waits(self, aged: Newsroom) -> None:
        with aged.database.transaction() as connection:
            connection.exec_driver_sql("LOCK TABLE rerank.pair_score IN ACCESS SHARE MODE")
            assert clean(aged).months_busy == 1
        assert clean(aged).months_dropped == 1

    def test_a_rerun_after_its_month_was_dropped_scores_again_and_says_why(self, aged: Newsroom) -> None:
        clean(aged)
        assert aged.run("k", rescore=False)["publish"]["rows"] == 1


def test_every_table_that_refers_to_what_is_deleted_is_deleted_from_first(database_url: str) -> None:
    """A foreign key that a later migration adds would stop the clean-up, unless it cascades."""
    deleted = "('rerank.publication'::regclass, 'rerank.revision'::regclass, 'rerank.document'::regclass)"
    with Database(database_url).transaction(read_only=True) as connection:
        found = connection.exec_driver_sql(
            "SELECT DISTINCT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint"
            f" WHERE contype = 'f' AND confdeltype NOT IN ('c', 'n') AND confrelid IN {deleted} ORDER BY 1"
        ).all()
        drop = "SELECT prosrc FROM pg_proc WHERE proname = 'drop_publication'"
        function = str(connection.exec_driver_sql(drop).scalar())
    statements = function + (sql_folder() / "queries/operations/retention.sql").read_text()
    # The pointer is what keeps a publication; a document stays while a revision has it, and hands its cluster over first.
    stops = {
        ("rerank.pointer", "rerank.publication"),
        ("rerank.revision", "rerank.document"),
        ("rerank.near_copy", "rerank.document"),
    }
    assert len(found) >= 7
    for table, of in found:
        assert (table, of) in stops or f"DELETE FROM {table} " in statements, f"{table} refers to {of}"
