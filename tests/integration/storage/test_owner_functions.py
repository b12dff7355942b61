"""Functions with their owner's rights: what the writer can do by them, and what they refuse."""

from collections.abc import Callable

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
