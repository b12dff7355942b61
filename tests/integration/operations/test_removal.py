"""A blocked article is hidden at once; a forgotten one leaves no text anywhere, and never comes back."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from factories import Newsroom, make_pair, make_topic

from rerank_core.cli import main
from rerank_core.errors import DatabaseUnavailable, InputError, SettingsError, StoreUnavailable
from rerank_core.frontends import json_pages
from rerank_core.operations import maintain, pointer, removal
from rerank_core.prepare import helpers, prepare
from rerank_core.publish import publications, publish
from rerank_core.recall import recall
from rerank_core.storage import database as db
from rerank_core.storage import ledger, store_headers
from rerank_core.storage.store import Store

MARK = "Zanzibarite"  # stands in every text of the article that is forgotten, and nowhere else


@pytest.fixture
def room(room: Newsroom) -> Newsroom:
    room.follow(make_topic(slug="solar", query="solar wind power", top_k=2))
    room.add(
        "secret",
        title=f"solar wind power {MARK}",
        summary=f"{MARK} summary",
        body=f"<p>solar {MARK}</p>",
        url=f"http://x.example/{MARK}",
    )
    room.add("solar 2", title="solar wind")
    room.add("solar 3")
    return room


def block(room: Newsroom, article_id: str, reason: str = "court order") -> removal.Blocked:
    return removal.block(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article_id,
        reason=reason,
    )


def unblock(room: Newsroom, article_id: str) -> removal.Blocked:
    return removal.unblock(
        database=room.database, store=room.resources.store, settings=room.settings, article_id=article_id
    )


def forget(room: Newsroom, article_id: str = "secret", reason: str = "court order") -> removal.Forgotten:
    return removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article_id,
        reason=reason,
    )


def tables_with_mark(room: Newsroom) -> set[str]:
    """Every table of ours that holds the mark in any column."""
    names = [row.tablename for row in room.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'rerank'")]
    return {
        name
        for name in names
        if room.value(f"SELECT count(*) FROM rerank.{name} t WHERE t::text ILIKE :mark", mark=f"%{MARK}%")
    }


def files_with_mark(room: Newsroom) -> set[str]:
    """Every file of the store that holds the mark."""
    root = Path(room.resources.store.full_path(""))
    found = set()
    for file in root.rglob("*.*"):
        text = str(pq.read_table(file).to_pylist()) if file.suffix == ".parquet" else file.read_text("utf-8")
        if MARK.lower() in text.lower():
            found.add(str(file.relative_to(root)))
    return found


def clean_up(room: Newsroom) -> None:
    """The clean-up, after the grace period."""
    room.sql("UPDATE rerank.store_removal SET due_at = now() - interval '1 second'")
    maintain.maintain(database=room.database, store=room.resources.store, settings=room.settings)


class TestBlock:
    """`rerank block`."""

    def test_it_hides_an_article_at_once_and_on_later_pages_and_says_where_it_stood(
        self, room: Newsroom
    ) -> None:
        room.run("first")
        assert "secret" in room.page()
        assert block(room, "secret") == removal.Blocked(claimed=True, topics=("solar",))
        assert "secret" not in room.page()
        assert f'"{MARK}' not in str(json_pages.read_latest(room.resources.store, "news"))
        found = room.run("second")["publish"]
        assert sorted(room.page()) == ["solar 2", "solar 3"]
        assert "secret" not in room.parquet(found).column("article_id").to_pylist()
        kept = room.sql("SELECT reason, actor FROM rerank.block")
        assert [tuple(row) for row in kept] == [("court order", "postgres")]

    def test_the_json_pages_follow_a_block(self, room: Newsroom) -> None:
        def shown() -> str:
            latest = json_pages.read_latest(room.resources.store, "news")
            assert latest is not None
            return str(room.resources.store.read_json(json_pages.paths(latest)[0]))

        room.run("first")
        assert MARK in shown()
        block(room, "secret")
        assert MARK not in shown()
        unblock(room, "secret")
        assert MARK in shown()

    def test_an_unblocked_article_is_shown_again_and_the_rerun_names_it(self, room: Newsroom) -> None:
        room.run("k")
        block(room, "secret")
        room.run("k")
        unblock(room, "secret")
        assert "secret" not in room.page()  # the page was published without it
        assert room.run("k")["publish"]["difference"] == "restored: 1 articles are shown again"
        assert "secret" in room.page()

    def test_an_article_that_no_run_has_claimed_may_be_blocked_beforehand(self, room: Newsroom) -> None:
        assert block(room, "later") == removal.Blocked(claimed=False, topics=())
        room.add("later", title="solar later")
        room.run()
        assert "later" not in room.page()

    def test_a_second_block_brings_the_reason_up_to_date(self, room: Newsroom) -> None:
        block(room, "secret", "first")
        block(room, "secret", "second")
        assert room.value("SELECT reason FROM rerank.block") == "second"

    def test_what_makes_no_sense_is_refused(self, room: Newsroom) -> None:
        with pytest.raises(InputError, match="needs a reason"):
            block(room, "secret", " ")
        with pytest.raises(InputError, match="is the id of no article"):
            block(room, "")
        with pytest.raises(InputError, match="'secret' is not hidden in pipeline news"):
            unblock(room, "secret")


class TestForget:
    """`rerank forget`."""

    def test_no_text_of_the_article_is_left_in_any_table_and_the_page_goes_on_without_it(
        self, room: Newsroom
    ) -> None:
        first = room.run("first")["publish"]
        assert tables_with_mark(room) == {"article", "revision", "revision_text", "document", "ranking"}
        assert "secret" in room.page()
        found = forget(room)
        assert tables_with_mark(room) == set()
        assert (found.revisions, found.texts, found.documents, found.shared) == (1, 1, 1, 0)
        assert (found.scores, found.source_rows, found.rankings) == (1, 1, 1)
        assert found.pipelines == ("news",)
        assert room.page() == ["solar 2"]
        assert [row.rank for row in room.ranking()] == [1]
        standing = room.standing()
        assert (standing.run_id, standing.version, standing.ranked) == (first["run_id"], 2, 1)
        assert found.reissued == (standing.parquet_path,)
        assert found.due == (first["parquet_path"],)

    def test_the_republished_page_equals_its_file_and_its_digests(self, room: Newsroom) -> None:
        room.run("first")
        found = forget(room)
        row = room.sql("SELECT p.* FROM rerank.publication p JOIN rerank.pointer USING (publication_id)")[0]
        table = room.resources.store.read(
            found.reissued[0], schema=publications.schemas.PUBLISHED, sha256=row.parquet_sha256
        )
        assert table.column("article_id").to_pylist() == room.page()
        assert set(table.column("version").to_pylist()) == {2}
        assert publications.hashlib.sha256(publications.canonical(table)).hexdigest() == row.rows_sha256
        assert (row.row_count, row.trimmed, row.difference) == (
            1,
            True,
            "deleted: 1 rows of forgotten articles",
        )
        logits = [row.logit for row in room.ranking()]
        assert logits == [pytest.approx(value) for value in table.column("logit").to_pylist()]

    def test_the_folders_of_topic_files_that_show_it_are_told_with_their_time(self, room: Newsroom) -> None:
        room.run("first")
        room.add("solar 4")
        room.run("second")
        shown = {str(Path(path).parent) + "/" for path in files_with_mark(room) if path.endswith(".json")}
        assert len(shown) == 2  # the page, and the page before
        found = forget(room)
        assert set(found.folders) == shown
        assert found.shown_in == ()
        assert all(timedelta() < due - room.now < timedelta(hours=25) for due in found.folders.values())
        left = files_with_mark(room)
        assert left == {
            path for path in left if path in found.due or f"{Path(path).parent}/" in found.folders
        }
        clean_up(room)
        assert files_with_mark(room) == set()

    def test_topic_files_that_could_not_be_replaced_are_told(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room.run("first")
        write = Store.write_json

        def refused(store: Store, path: str, content: bytes) -> None:
            raise StoreUnavailable(f"{path}: no space; try again")

        monkeypatch.setattr(Store, "write_json", refused)
        found = forget(room)
        assert (found.shown_in, dict(found.folders)) == (("news",), {})
        monkeypatch.setattr(Store, "write_json", write)
        assert forget(room).shown_in == ()

    def test_what_cannot_be_reached_depends_on_where_things_are(self, room: Newsroom) -> None:
        def said(*, is_local: bool = True, **settings: Any) -> str:
            return "\n".join(removal.unreached(room.settings.model_copy(update=settings), is_local=is_local))

        assert "backups and replicas of the database" in said()
        assert "snapshots of the store's folder" in said()
        assert "earlier versions of deleted files if versioning is on" in said(is_local=False)
        assert "versioning" not in said()
        assert "for an hour" in said()
        assert f"max-age={3600}" in store_headers.WRITTEN_ONCE  # the hour
        assert "Redis" not in said()
        assert "snapshots of Redis" in said(redis_url="redis://h")
        assert "Milvus keeps the vector" in said(milvus_url="http://h")
        assert "the source public.feed was not changed" in said(source_view="public.feed")
        assert "the source" not in said()
        assert "its id and the reason" in said()

    def test_no_file_holds_it_after_the_grace_period_and_the_page_has_its_own(self, room: Newsroom) -> None:
        room.run("first")
        room.add("solar 4")
        room.run("second")
        assert len(files_with_mark(room)) == 8  # two rankings, two pages, and two feeds of each
        found = forget(room)
        assert set(found.due) <= files_with_mark(room)  # readers may have their paths still
        assert room.standing().parquet_path not in files_with_mark(room)
        assert json_pages.is_up_to_date(room.database, room.resources.store, "news")
        clean_up(room)
        assert files_with_mark(room) == set()
        assert Path(room.resources.store.full_path(room.standing().parquet_path)).is_file()
        assert room.value("SELECT count(*) FROM rerank.store_removal") == 0

    def test_the_clean_up_waits_for_the_grace_period(self, room: Newsroom) -> None:
        room.run("first")
        found = forget(room)
        maintain.maintain(database=room.database, store=room.resources.store, settings=room.settings)
        assert set(found.due) <= files_with_mark(room)
        span = room.value("SELECT max(due_at) - now() FROM rerank.store_removal")
        assert 23 * 3600 < span.total_seconds() <= 24 * 3600

    def test_no_later_claim_brings_it_back(self, room: Newsroom) -> None:
        room.run("first")
        forget(room)
        room.add("secret", title=f"solar wind power {MARK}")
        again = room.run("second")["extract"]
        assert (again["forgotten"], again["claimed"], again["unchanged"]) == (1, 0, 2)
        room.edit("secret", body=f"more {MARK}")
        assert room.run("third")["extract"]["forgotten"] == 1
        assert tables_with_mark(room) == {"article"}
        assert sorted(room.page()) == ["solar 2", "solar 3"]

    def test_control_without_the_tombstone_it_comes_back(self, room: Newsroom) -> None:
        room.run("first")
        forget(room)
        room.sql("DELETE FROM rerank.tombstone")
        room.add("secret", title=f"solar wind power {MARK}")
        room.run("second")
        assert "secret" in room.page()

    def test_a_text_that_another_article_has_too_stays_and_that_one_takes_the_place(
        self, room: Newsroom
    ) -> None:
        room.add("copy", title="solar wind", ingested_at=room.ago(minutes=5))
        room.run("first")
        found = forget(room, "solar 2")
        assert (found.documents, found.shared, found.scores) == (0, 1, 0)
        assert "solar 2" not in room.page()
        results = room.run("second")
        assert "rerank[0]" not in results  # its score is there
        assert "copy" in room.page() or len(room.page()) == 2
        assert room.value("SELECT count(*) FROM rerank.revision WHERE document_id IS NULL") == 1

    def test_earlier_runs_can_still_be_repeated_and_say_why_they_differ(self, room: Newsroom) -> None:
        room.run("first")
        room.run("second")
        forget(room)
        room.engines.asked.clear()
        found = room.run("first")
        assert found["publish"]["difference"] == "deleted: 1 articles were forgotten"
        assert (found["degrade"]["missing"], found["publish"]["degraded"]) == (0, False)
        assert room.engines.asked == []
        trimmed = room.run("second")["publish"]
        assert trimmed["version"] == 3
        assert trimmed["difference"] == (
            "filled up: the version before left the places of forgotten articles empty"
        )
        assert room.page() == ["solar 2", "solar 3"]
        assert tables_with_mark(room) == set()

    def test_a_run_that_has_not_scored_it_yet_goes_on_without_it(self, room: Newsroom) -> None:
        run = room.until("rerank", "k")
        shards = room.stage("recall", run)["shards"]
        forget(room)
        assert room.stage("rerank", run, shard=shards[0]["shard"])["scored"] == 2
        assert room.stage("degrade", run)["missing"] == 0
        assert room.stage("publish", run)["rows"] == 2
        assert (room.standing().state, room.standing().candidates) == ("full", 2)

    def test_every_pipeline_that_claimed_the_same_row_forgets_it(self, room: Newsroom) -> None:
        room.run("first")
        shadow = room.tuned(pipeline="shadow")
        shadow.follow("solar")
        shadow.run("first")
        found = forget(room)
        assert found.pipelines == ("news", "shadow")
        assert len(found.reissued) == 2
        assert tables_with_mark(room) == set()
        assert found.documents == 1

    def test_another_source_with_the_same_id_keeps_its_article(self, room: Newsroom) -> None:
        room.run("first")
        room.sql("CREATE TABLE feed AS SELECT * FROM rerank.source_article")
        room.sql(
            "UPDATE feed SET version = 'x', title = 'solar of another desk', summary = '', body = '',"
            " ingested_at = ingested_at - interval '1 second'"
        )
        other = room.tuned(pipeline="other", source_view="feed")
        other.follow("solar")
        other.run("first")
        assert forget(room).pipelines == ("news",)
        assert other.run("again")["extract"]["forgotten"] == 0
        assert room.value("SELECT count(*) FROM rerank.revision_text WHERE title LIKE '%another desk'") == 3

    def test_a_pipeline_that_claimed_another_version_of_it_forgets_it_too(self, room: Newsroom) -> None:
        room.run("first")
        room.sql("UPDATE rerank.article SET title = title || ' edited' WHERE article_id = 'secret'")
        shadow = room.tuned(pipeline="shadow")
        shadow.follow("solar")
        shadow.run("first")
        assert forget(room).pipelines == ("news", "shadow")
        assert tables_with_mark(room) == set()

    def test_where_the_settings_of_such_a_pipeline_are_wrong_nothing_is_forgotten_until_they_are_mended(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room.run("first")
        shadow = room.tuned(pipeline="shadow")
        shadow.follow("solar")
        shadow.run("first")
        monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", '{"shadow": {"freshness": 1}}')
        with pytest.raises(SettingsError, match="pipeline 'shadow' has no setting 'freshness'"):
            forget(room)
        assert room.value("SELECT count(*) FROM rerank.tombstone") == 0
        monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", "{}")
        assert forget(room).pipelines == ("news", "shadow")

    def test_a_pipeline_that_keeps_its_articles_longer_forgets_it_too(self, room: Newsroom) -> None:
        room.run("first")
        shadow = room.tuned(pipeline="shadow")
        shadow.follow("solar")
        shadow.run("first")
        room.sql(
            "DELETE FROM rerank.revision_text USING rerank.revision r WHERE r.pipeline = 'news' AND revision_text.revision_id = r.revision_id"
        )
        room.sql("DELETE FROM rerank.revision WHERE pipeline = 'news'")
        assert forget(room).pipelines == ("news", "shadow")
        assert tables_with_mark(room) == set()

    def test_it_may_be_repeated_and_finds_nothing_left(self, room: Newsroom) -> None:
        room.run("first")
        forget(room)
        moves = room.value("SELECT count(*) FROM rerank.pointer_move")
        again = forget(room)
        assert (again.texts, again.documents, again.scores, again.rankings) == (0, 0, 0, 0)
        assert again.reissued == ()
        assert room.value("SELECT count(*) FROM rerank.pointer_move") == moves

    def test_an_article_that_was_never_claimed_never_will_be(self, room: Newsroom) -> None:
        assert forget(room).revisions == 0
        room.add("secret", title=f"solar wind power {MARK}")
        assert room.run("first")["extract"]["forgotten"] == 1
        assert tables_with_mark(room) == {"article"}

    def test_a_page_of_nothing_else_abstains(self, room: Newsroom) -> None:
        room.sql("DELETE FROM rerank.article WHERE article_id <> 'secret'")
        room.run("first")
        forget(room)
        assert (room.page(), room.standing().state, room.standing().ranked) == ([], "abstained", 0)

    def test_a_held_page_stays_held_and_loses_it(self, room: Newsroom) -> None:
        first = room.run("first")["publish"]
        room.run("second")
        arguments: dict[str, Any] = {
            "database": room.database,
            "store": room.resources.store,
            "settings": room.settings,
        }
        pointer.rollback(**arguments, run_id=first["run_id"], reason="r")
        forget(room)
        standing = room.standing()
        assert (standing.run_id, standing.version, room.page()) == (first["run_id"], 2, ["solar 2"])
        assert room.value("SELECT held FROM rerank.pointer") is True
        released = pointer.release(**arguments, reason="r")
        assert released.reissued  # the newest publication showed it
        assert room.page() == ["solar 2"]
        clean_up(room)
        assert files_with_mark(room) == set()
        again = pointer.rollback(**arguments, run_id=first["run_id"], reason="r")
        assert (again.reissued, again.version) == (False, 2)

    def test_it_is_all_or_nothing(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
        room.run("first")
        before = tables_with_mark(room)
        execute = removal.db.one

        def fails(connection: Any, name: str, *arguments: Any, **values: Any) -> Any:
            if name == "removal.documents":
                raise KeyboardInterrupt
            return execute(connection, name, *arguments, **values)

        monkeypatch.setattr(removal.db, "one", fails)
        with pytest.raises(KeyboardInterrupt):
            forget(room)
        monkeypatch.undo()
        room.engines.install(monkeypatch)
        assert tables_with_mark(room) == before
        assert (room.standing().version, "secret" in room.page()) == (1, True)
        assert room.value("SELECT count(*) FROM rerank.store_removal WHERE reason LIKE 'shows%'") == 0

    def test_a_page_whose_rows_are_not_all_there_is_not_republished(self, room: Newsroom) -> None:
        room.run("first")
        room.sql("DELETE FROM rerank.ranking WHERE article_id <> 'secret'")
        with pytest.raises(publications.CorruptError, match="had 2 rows and has 1; it is past retention"):
            forget(room)

    def test_the_command_says_what_was_removed_and_what_is_due_when(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first = room.run("first")["publish"]
        monkeypatch.setenv("RERANK_DATABASE_URL", room.settings.database_url)
        monkeypatch.setenv("RERANK_STORE_URL", room.settings.store_url)

        def command(*arguments: str) -> str:
            with pytest.raises(SystemExit) as ended:
                main(list(arguments))
            assert ended.value.code in (0, None)
            return " ".join(capsys.readouterr().out.split())

        assert command("block", "secret", "--reason", "r") == (
            "article secret is hidden in pipeline news: it was on the page under solar"
        )
        assert command("unblock", "secret") == (
            "article secret is not hidden in pipeline news any more: it is on the page under solar"
        )
        said = command("forget", "secret", "--reason", "r")
        assert "article secret is forgotten in pipeline news" in said
        assert "raw texts 1 documents 1" in said
        assert f"the page was published again without it: {room.resources.store.full_path('')}" in said
        due = room.value("SELECT due_at FROM rerank.store_removal WHERE path LIKE '%.parquet'")
        assert f"due for deletion at {due:%Y-%m-%d %H:%M} UTC: {first['parquet']}" in said


class TestRace:
    """A try that still has the text in its hands cannot bring it back."""

    def preparing(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """The article is forgotten after prepare has read its text and before it saves."""
        outcomes = helpers.outcomes
        run = room.until("prepare", "k")

        def prepared_and_then_forgotten(*given: Any, **how: Any) -> Any:
            for made in outcomes(*given, **how):
                if not room.value("SELECT count(*) FROM rerank.tombstone"):
                    forget(room)
                yield made

        monkeypatch.setattr(helpers, "outcomes", prepared_and_then_forgotten)
        return room.stage("prepare", run)

    def test_what_is_forgotten_while_it_is_prepared_is_not_saved(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = self.preparing(room, monkeypatch)
        assert (found["revisions"], found["documents"], found["quarantined"]) == (3, 2, 1)
        assert tables_with_mark(room) == set()

    def test_control_a_prepare_that_does_not_look_again_brings_it_back(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(prepare, "_without_forgotten", lambda connection, made: made)
        with pytest.raises(prepare.CorruptError, match="do not add up"):
            self.preparing(room, monkeypatch)
        assert tables_with_mark(room) == {"document", "revision"}

    def test_what_is_forgotten_while_it_is_recalled_is_passed_by(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        members = recall.read_members
        run = room.until("recall", "k")

        def read_and_then_forgotten(*arguments: Any, **options: Any) -> Any:
            found = members(*arguments, **options)
            forget(room)
            return found

        monkeypatch.setattr(recall, "read_members", read_and_then_forgotten)
        assert room.stage("recall", run)["documents"] == 3
        assert room.stage("rerank", run, shard=0)["scored"] == 2
        assert room.stage("publish", run)["rows"] == 2

    def test_what_is_forgotten_before_its_pair_is_refused_costs_no_score(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = ledger.write_refused
        run = room.until("rerank", "k")
        room.stage("recall", run)
        room.engines.options = {"refuse_text": MARK}

        def forgotten_and_then_refused(*arguments: Any, **values: Any) -> int:
            forget(room)
            return write(*arguments, **values)

        monkeypatch.setattr(ledger, "write_refused", forgotten_and_then_refused)
        assert room.stage("rerank", run, shard=0)["scored"] == 2
        assert room.value("SELECT count(*) FROM rerank.refused_pair") == 0

    def test_a_scorer_that_refuses_a_pair_of_the_page_does_not_wait_and_a_try_that_commits_does(
        self, room: Newsroom
    ) -> None:
        room.run("k")
        run = room.open("k")
        pair = make_pair(
            **room.sql("SELECT query_id, document_id FROM rerank.pair_score LIMIT 1")[0]._mapping
        )
        values = {"scorer_id": room.value("SELECT scorer_id FROM rerank.scorer"), "run_id": run.run_id}
        with room.database.transaction() as forgetting:
            assert removal._hold(forgetting, ["news"])
            with room.database.transaction() as connection:
                connection.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
                assert ledger.write_refused(connection, [(pair, "why")], **values) == 1
            for name in ("runs.hold_fence", "runs.take_fence", "maintain.lock"):
                with pytest.raises(DatabaseUnavailable), room.database.transaction() as connection:
                    connection.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
                    db.rows(connection, name, run_id=run.run_id)

    def publishing(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """The article is forgotten after the page was ranked and its file written, before the commit."""
        draft: Callable[..., publications.Draft] = publications.draft
        run = room.until("publish", "k")

        def ranked_and_then_forgotten(*arguments: Any, **values: Any) -> publications.Draft:
            made = draft(*arguments, **values)
            if not room.value("SELECT count(*) FROM rerank.tombstone"):
                forget(room)
            return made

        monkeypatch.setattr(publications, "draft", ranked_and_then_forgotten)
        return room.stage("publish", run)

    def test_what_is_forgotten_while_it_is_published_is_not_shown(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = self.publishing(room, monkeypatch)
        assert (found["version"], found["rows"], found["hidden"]) == (1, 2, 1)
        assert room.page() == ["solar 2", "solar 3"]
        assert tables_with_mark(room) == set()
        assert found["parquet_path"] not in files_with_mark(room)

    def test_control_a_publication_that_does_not_look_again_shows_it(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(publish, "_is_out_of_date", lambda *_: False)
        self.publishing(room, monkeypatch)
        assert tables_with_mark(room) == {"ranking"}
