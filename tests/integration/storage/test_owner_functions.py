"""Functions with their owner's rights: what the writer can do by them, and what they refuse."""

from collections.abc import Callable
from contextlib import closing

import psycopg2
import psycopg2.errors
import pytest
from factories import Newsroom
from role_office import Office

from rerank_core.storage.roles import Roles


def test_functions_that_work_with_their_owners_rights_are_for_nobody_before_the_script(
    room: Newsroom,
) -> None:
    found = room.sql(
        "SELECT p.oid::regprocedure::text AS name, p.proconfig AS settings,"
        " EXISTS (SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) AS by_all"
        " FROM pg_proc p WHERE p.pronamespace = 'rerank'::regnamespace AND p.prosecdef ORDER BY 1"
    )
    assert len(found) >= 9
    assert [
        row.name for row in found if row.by_all or row.settings != ["search_path=pg_catalog, pg_temp"]
    ] == []


class TestTheFunctions:
    def test_the_pointer_does_not_move_for_a_try_that_a_newer_one_has_overtaken(
        self, office: Callable[..., Office], newsroom: Callable[..., Newsroom]
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar power")
        found = room.run("first")["publish"]
        room.run("second")
        room.sql("UPDATE rerank.run SET fence = fence + 1 WHERE key = 'first'")
        with pytest.raises(psycopg2.Error, match="a newer try has taken over"):
            made.sql(made.roles.writer, f"SELECT rerank.move_pointer('news', {found['publication_id']})")

    def test_the_pointer_does_not_go_back_whoever_asks(
        self, office: Callable[..., Office], newsroom: Callable[..., Newsroom]
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar power")
        old, new = (room.run(key)["publish"]["publication_id"] for key in ("old", "new"))
        assert made.sql(made.roles.writer, f"SELECT rerank.move_pointer('news', {old})") == [(False,)]
        assert room.standing().publication_id == new
        with pytest.raises(psycopg2.Error, match="has no publication"):
            made.sql(made.roles.writer, f"SELECT rerank.move_pointer('shadow', {new})")

    def test_a_move_names_the_role_that_logged_in(
        self, office: Callable[..., Office], newsroom: Callable[..., Newsroom]
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.run()
        assert room.value("SELECT actor FROM rerank.pointer_move") == made.roles.writer

    def test_a_page_is_neither_withdrawn_nor_deleted_nor_replaced_by_another(
        self, office: Callable[..., Office], newsroom: Callable[..., Newsroom]
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar power")
        old, page = (room.run(key)["publish"]["publication_id"] for key in ("old", "page"))
        for refused in (
            f"withdraw_publications(ARRAY[{old}, {page}]::bigint[])",
            f"drop_publication({page})",
        ):
            with pytest.raises(psycopg2.errors.ObjectInUse, match="page"):
                made.sql(made.roles.writer, f"SELECT rerank.{refused}")
        for function in (
            f"replace_pointer('news', {page}, {old}, 'because')",  # not the same one without what was forgotten
            f"rollback_pointer('news', {old}, ' ')",  # no reason
            f"rollback_pointer('shadow', {old}, 'because')",
            f"release_pointer('news', {old}, 'because')",  # nothing holds it
        ):
            assert made.sql(made.roles.writer, f"SELECT * FROM rerank.{function}") == []
        assert room.standing().publication_id == page
        later = room.run("old")["publish"][
            "publication_id"
        ]  # of the same run, and nothing of it was forgotten
        made.sql(made.roles.writer, f"SELECT rerank.rollback_pointer('news', {old}, 'because')")
        replace = f"SELECT * FROM rerank.replace_pointer('news', {old}, {later}, 'because')"
        assert made.sql(made.roles.writer, replace) == []
        made.sql(made.roles.writer, f"SELECT rerank.release_pointer('news', {page}, 'because')")
        assert made.sql(made.roles.writer, f"SELECT rerank.drop_publication({old})") == [(True,)]
        assert made.sql(made.roles.writer, f"SELECT rerank.drop_publication({old})") == [(False,)]

    def test_only_old_months_of_the_ledger_can_be_dropped(self, office: Callable[..., Office]) -> None:
        made = office()
        for month in ("now()", "now() - interval '1 month'", "now() + interval '3 months'"):
            with pytest.raises(psycopg2.errors.ObjectInUse, match="still in use"):
                made.sql(made.roles.writer, f"SELECT rerank.drop_month(({month})::date)")
        made.sql(made.roles.writer, "SELECT rerank.ensure_month('2020-02-29')")
        assert made.sql(made.roles.writer, "SELECT rerank.drop_month('2020-02-01')") == [(True,)]
        assert made.sql(made.roles.writer, "SELECT rerank.drop_month('2020-02-01')") == [(False,)]

    def test_a_table_that_only_looks_like_a_month_is_not_dropped(self, office: Callable[..., Office]) -> None:
        made = office()
        made.sql(made.roles.owner, "CREATE TABLE rerank.pair_score_2019_01 (a int)")
        assert made.sql(made.roles.writer, "SELECT rerank.drop_month('2019-01-01')") == [(False,)]
        assert made.sql("postgres", "SELECT to_regclass('rerank.pair_score_2019_01') IS NOT NULL") == [
            (True,)
        ]

    def test_a_month_is_known_by_its_bounds_and_not_by_a_name_that_other_years_have(
        self, office: Callable[..., Office]
    ) -> None:
        made = office()
        (this_month,) = made.sql("postgres", "SELECT to_char(now(), 'YYYY-MM-01')")[0]
        made.sql(made.roles.writer, "SELECT rerank.ensure_month(now()::date)")
        name = f"rerank.pair_score_{str(this_month)[:7].replace('-', '_')}"
        for of_other_years in (f"{this_month} BC", f"1{this_month}", "-infinity"):
            try:
                dropped = made.sql(made.roles.writer, f"SELECT rerank.drop_month('{of_other_years}')")
            except psycopg2.errors.ObjectInUse:  # of the future
                dropped = [(False,)]
            assert dropped == [(False,)], of_other_years
        assert made.sql("postgres", f"SELECT to_regclass('{name}') IS NOT NULL") == [(True,)]

    @pytest.mark.parametrize("style", ["ISO, YMD", "German, DMY", "SQL, MDY"])
    def test_whatever_the_style_of_dates_a_month_is_made_once_and_dropped_once(
        self, office: Callable[..., Office], style: str
    ) -> None:
        made = office()
        with closing(made.login(made.roles.writer)) as connection, connection.cursor() as cursor:
            cursor.execute("SET datestyle = %s", [style])
            for expected in (True, False):
                cursor.execute("SELECT rerank.ensure_month(DATE '2020-02-29')")
                cursor.execute("SELECT rerank.ensure_month(DATE '2020-02-01')")
                cursor.execute("SELECT rerank.drop_month(DATE '2020-02-11')")
                assert cursor.fetchall() == [(True,)], expected

    @pytest.mark.parametrize(
        "wanted",
        [
            "2026-12-01 BC",
            "1969-12-31",
            "now() + interval '2 months'",
            "12026-12-01",
            "294276-12-01",
            "infinity",
            "-infinity",
        ],
    )
    def test_no_month_is_made_that_no_run_ends_in(self, office: Callable[..., Office], wanted: str) -> None:
        made = office()
        day = f"({wanted})::date" if "now" in wanted else f"DATE '{wanted}'"
        count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'rerank.pair_score'::regclass"
        before = made.sql("postgres", count)
        with pytest.raises(psycopg2.errors.DatetimeFieldOverflow, match="no run ends in the month"):
            made.sql(made.roles.writer, f"SELECT rerank.ensure_month({day})")
        assert made.sql("postgres", count) == before

    def test_a_table_that_squats_on_the_name_of_a_month_is_named_and_not_taken_for_it(
        self, office: Callable[..., Office]
    ) -> None:
        made = office()
        made.sql(made.roles.owner, "CREATE TABLE rerank.pair_score_2019_02 (a int)")
        with pytest.raises(psycopg2.errors.DuplicateTable, match="pair_score_2019_02 is not the ledger"):
            made.sql(made.roles.writer, "SELECT rerank.ensure_month('2019-02-01')")

    def test_who_has_done_something_is_the_role_that_logged_in_whatever_the_statement_says(
        self, office: Callable[..., Office], newsroom: Callable[..., Newsroom]
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.run("first")
        writer = made.roles.writer
        for statement in (
            "INSERT INTO rerank.block (pipeline, article_id, reason, actor) VALUES ('news', 'a', 'r', 'ada')",
            "INSERT INTO rerank.tombstone (pipeline, article_id, reason, actor) VALUES ('news', 'b', 'r', 'ada')",
            "INSERT INTO rerank.gate (run_id, verdict, sentence, fence, actor, on_behalf_of)"
            " SELECT run_id, 'approved', 's', 1, 'ada', 'bob' FROM rerank.run",
            "INSERT INTO rerank.run (pipeline, key, since, fresh_since, until, rescore, opened_by)"
            " VALUES ('news', 'k', now(), now(), now(), false, 'ada')",
            "UPDATE rerank.block SET actor = 'ada'",
            "UPDATE rerank.run SET opened_by = 'ada'",
        ):
            made.sql(writer, statement)
        for table, name in (
            ("block", "actor"),
            ("tombstone", "actor"),
            ("gate", "actor"),
            ("run", "opened_by"),
            ("pointer_move", "actor"),
        ):
            assert made.sql("postgres", f"SELECT DISTINCT {name} FROM rerank.{table}") == [(writer,)], table
        assert made.sql("postgres", "SELECT on_behalf_of FROM rerank.gate") == [("bob",)]

    def test_control_without_the_triggers_any_name_is_taken(self, office: Callable[..., Office]) -> None:
        made = office()
        made.sql("postgres", "DROP FUNCTION rerank.sign() CASCADE")
        made.sql(
            made.roles.writer,
            "INSERT INTO rerank.block (pipeline, article_id, reason, actor) VALUES ('news', 'a', 'r', 'ada')",
        )
        assert made.sql("postgres", "SELECT actor FROM rerank.block") == [("ada",)]

    @pytest.mark.parametrize(
        "path", ["news/../../x/", "../x", "/etc/x", "news//x", "news/%2e%2e/x", "news\\x"]
    )
    def test_the_writer_lists_no_path_out_of_the_store_for_removal(
        self, office: Callable[..., Office], path: str
    ) -> None:
        made = office()
        with pytest.raises(psycopg2.errors.CheckViolation):
            made.sql(made.roles.writer, f"INSERT INTO rerank.store_removal VALUES ('{path}', now(), 'r')")

    def test_every_function_with_its_owners_rights_fixes_its_search_path(self, database_url: str) -> None:
        found = Office(database_url, Roles()).sql(
            "postgres",
            "SELECT proname, proconfig, proacl::text FROM pg_proc WHERE prosecdef AND pronamespace = 'rerank'::regnamespace",
        )
        assert {name for name, *_ in found} >= {"move_pointer", "ensure_month", "drop_month"}
        for name, settings, rights in found:
            assert settings == ["search_path=pg_catalog, pg_temp"], name
            assert not str(rights).startswith("{="), f"PUBLIC may call {name}"
            assert rights is not None, f"PUBLIC may call {name}"
