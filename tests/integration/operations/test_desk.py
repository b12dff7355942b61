"""The hand of an editor: seen on the next page, kept with who and why, repeated by a rerun, and gone when its time is over."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from factories import Newsroom, make_topic, statement_replaced

from rerank_core.cli import main
from rerank_core.errors import InputError
from rerank_core.operations import desk, removal
from rerank_core.storage.database import asked_by

TITLES = [f"solar wind {number}" for number in range(6)]


@pytest.fixture
def room(room: Newsroom) -> Newsroom:
    room.follow(make_topic(slug="solar", query="solar wind", top_k=4), make_topic(slug="rain"))
    room.add(*TITLES)
    room.add("rain at last")
    room.run("first")
    return room


def act(room: Newsroom, kind: Any, article_id: str, amount: int, **options: Any) -> desk.Standing:
    values: dict[str, Any] = {
        "slug": "solar",
        "ends_at": room.now + timedelta(hours=6),
        "reason": "election night",
        **options,
    }
    return desk.make(
        database=room.database,
        settings=room.settings,
        kind=kind,
        article_id=article_id,
        amount=amount,
        **values,
    )


def undo(room: Newsroom, article_id: str) -> None:
    desk.undo(database=room.database, settings=room.settings, article_id=article_id, slug="solar")


def forget(room: Newsroom, article_id: str) -> None:
    removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article_id,
        reason="court order",
    )


class TestAPin:
    def test_it_is_on_the_next_page_with_its_mark_and_the_old_page_stays(self, room: Newsroom) -> None:
        before = room.page()
        assert act(room, "pin", before[3], 1).effect == "next"
        assert room.page() == before
        published = room.run("second")["publish"]
        rows = room.ranking()
        assert [row.article_id for row in rows] == [before[3], *before[:3]]
        assert [(row.moved_by, row.moved) for row in rows] == [("pin", 3), *[("shifted", -1)] * 3]
        assert (published["acts"], published["idle_acts"]) == (1, 0)
        (standing,) = desk.list_standing(room.database, room.settings)
        assert (standing.effect, standing.rank, standing.moved) == ("shown", 1, 3)
        file = room.parquet(published).to_pylist()
        assert [(row["moved_by"], row["moved"]) for row in file if row["topic"] == "solar"] == [
            (row.moved_by, row.moved) for row in rows
        ]

    def test_an_article_that_recall_did_not_find_is_brought_in_and_says_so(self, room: Newsroom) -> None:
        room.follow(make_topic(slug="solar", query="solar wind", top_k=4, must=("solar",)))
        act(room, "pin", "rain at last", 2)
        room.run("second")
        row = room.ranking()[1]
        assert (row.article_id, row.ranked_by, row.moved_by) == ("rain at last", "editor", "pin")
        assert (row.logit, row.rank_score, row.light_score, row.moved) == (None, None, None, None)
        assert len(room.ranking()) == 4
        said = room.explained("rain at last").sentence
        assert said.startswith("Rank 2: pinned to place 2 by ")
        assert "(election night). Neither the model nor the light order ranks it here." in said

    def test_a_row_below_min_score_is_brought_in_with_its_score(self, room: Newsroom) -> None:
        low = room.page("rain")[0]
        logit = room.ranking("rain")[0].logit
        room.follow("solar", make_topic(slug="rain", min_score=logit + 1))
        act(room, "pin", low, 1, slug="rain")
        room.run("second")
        (row,) = [row for row in room.ranking("rain") if row.article_id == low]
        assert (row.ranked_by, row.logit, row.moved) == ("model", logit, None)

    def test_a_near_copy_that_is_pinned_stands_for_its_story(self, room: Newsroom) -> None:
        room.add("the agency's own", title=TITLES[0], source="agency")
        act(room, "pin", "the agency's own", 1)
        room.run("second")
        first = room.ranking()[0]
        assert (first.article_id, first.copies, first.copy_sources) == ("the agency's own", 2, ["agency"])
        assert TITLES[0] not in room.page()

    @pytest.mark.parametrize("how", ["block", "forget"])
    def test_it_never_shows_a_hidden_or_forgotten_article(self, room: Newsroom, how: str) -> None:
        act(room, "pin", TITLES[0], 1)
        act(room, "boost", TITLES[1], 2)
        room.run("second")
        if how == "block":
            room.sql(
                "INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', :a, 'r')",
                a=TITLES[0],
            )
        else:
            forget(room, TITLES[0])
            assert [row.moved for row in room.ranking()] == [
                # What `moved` counts from has lost the same row.
                sum(other > row.logit for other in _scores(room)) + 1 - row.rank
                for row in room.ranking()
            ]
        assert TITLES[0] not in room.page()
        for key in ("second", "third"):
            published = room.run(key)["publish"]
            assert TITLES[0] not in room.parquet(published).column("article_id").to_pylist()
        kept = room.sql("SELECT article_id, reason, ended FROM rerank.editorial_act ORDER BY act_id")[0]
        assert tuple(kept) == (
            (TITLES[0], "election night", False) if how == "block" else (None, "forgotten", True)
        )

    def test_what_no_page_to_come_can_show_is_refused(self, room: Newsroom) -> None:
        room.add("an old story", ingested_at=room.ago(hours=80))
        room.add("empty", title="")
        room.run("second")
        room.sql(
            "INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', :a, 'r')", a=TITLES[0]
        )
        for article_id, message in (
            ("no such", "no run has claimed an article 'no such', and the source"),
            ("an old story", "it has left the window of every page to come"),
            ("empty", "is in quarantine"),
            (TITLES[0], r"is hidden \(blocked\)"),
        ):
            with pytest.raises(InputError, match=message):
                act(room, "pin", article_id, 1)
        with pytest.raises(InputError, match=r"place 5 is not in 1\.\.4: topic 'solar' shows 4 rows"):
            act(room, "pin", TITLES[1], 5)
        with pytest.raises(InputError, match="is not between now"):
            act(room, "pin", TITLES[1], 1, ends_at=room.ago(minutes=1))
        with pytest.raises(InputError, match="no active topic 'solr' .perhaps 'solar' is meant"):
            act(room, "pin", TITLES[1], 1, slug="solr")
        with pytest.raises(InputError, match="needs a reason"):
            act(room, "pin", TITLES[1], 1, reason=" ")
        assert desk.list_standing(room.database, room.settings) == []

    def test_an_article_that_no_run_has_claimed_yet_shows_when_one_has(self, room: Newsroom) -> None:
        room.add("breaking", title="something else")
        assert act(room, "pin", "breaking", 1).effect == "unclaimed"
        room.run("second")
        assert room.page()[0] == "breaking"


def _scores(room: Newsroom) -> list[float]:
    """The scores of every article of the topic that is not hidden."""
    return [
        row[0]
        for row in room.sql(
            "SELECT s.logit FROM rerank.pair_score s JOIN rerank.query q USING (query_id) WHERE q.query = 'solar wind'"
        )
    ]


class TestBoostAndDemote:
    def test_they_move_by_so_many_places_and_are_explained(self, room: Newsroom) -> None:
        a, b, c, d = room.page()
        act(room, "demote", a, 2)
        act(room, "boost", d, 2)
        room.run("second")
        assert room.page() == [d, b, c, a]  # each has passed two rows
        assert [(row.moved_by, row.moved) for row in room.ranking()] == [
            *[("boost", 3), (None, 0), (None, 0)],
            ("demote", -3),
        ]
        said = room.explained(d).sentence
        assert "By its score it would stand at 4: boosted by 2 places by " in said
        undo(room, a)
        room.run("third")
        assert room.page() == [a, d, b, c]
        assert "By its score it would stand at 2: other rows were moved." in room.explained(b).sentence

    def test_what_a_demotion_takes_off_the_page_is_explained(self, room: Newsroom) -> None:
        last = room.page()[3]
        act(room, "demote", last, 4)
        room.run("second")
        found = room.explained(last)
        assert found.reason == "moved_off"
        assert "demoted by 4 places by" in found.sentence
        assert found.sentence.endswith("By its score it would stand at 4.")


class TestTime:
    def test_an_act_ends_by_itself_or_by_hand_and_says_by_whom(self, room: Newsroom) -> None:
        plain = room.page()
        act(room, "pin", plain[3], 1)
        act(room, "boost", plain[2], 1)
        room.run("second")
        room.sql("UPDATE rerank.editorial_act SET ends_at = now() WHERE kind = 'pin'")
        undo(room, plain[2])
        room.run("third")
        assert room.page() == plain
        assert all((row.moved_by, row.moved) == (None, 0) for row in room.ranking())
        (row,) = room.sql("SELECT actor, undone_by, undone_at FROM rerank.editorial_act WHERE kind = 'boost'")
        assert row.actor == row.undone_by == room.value("SELECT session_user::text")
        with pytest.raises(InputError, match="is neither pinned nor boosted nor demoted"):
            undo(room, plain[2])

    def test_a_rerun_follows_what_stood_when_the_run_was_published(self, room: Newsroom) -> None:
        plain = room.page()
        act(room, "pin", plain[3], 1)
        first = room.run("second")["publish"]
        undo(room, plain[3])
        act(room, "pin", plain[2], 1)
        again = room.run("second")["publish"]
        assert (again["rows_sha256"], again["difference"]) == (first["rows_sha256"], None)
        assert room.run("first")["publish"]["acts"] == 0
        room.run("third")
        assert room.page()[0] == plain[2]

    def test_control_a_rerun_that_follows_what_stands_now_differs_and_says_why(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain = room.page()
        act(room, "pin", plain[3], 1)
        room.run("second")
        undo(room, plain[3])
        statement_replaced(
            monkeypatch,
            "editorial.of_run",
            "SELECT * FROM rerank.editorial_act WHERE NOT ended AND :run_id > 0",
        )
        assert room.run("second")["publish"]["difference"] == "editorial: 0 acts of editors came, 1 went"

    def test_a_run_of_the_past_follows_what_stood_at_its_time(self, room: Newsroom) -> None:
        plain = room.page()
        act(room, "pin", plain[3], 1)
        published = room.run("past", until=room.ago(minutes=5))["publish"]
        assert published["acts"] == 0

    def test_acts_change_nothing_that_is_scored_and_a_limit_does_not_either(self, room: Newsroom) -> None:
        act(room, "pin", room.page()[3], 1)
        room.follow(
            make_topic(slug="solar", query="solar wind", top_k=4, max_per_source=2, diversity=0.3),
            make_topic(slug="rain"),
        )
        results = room.run("second")
        assert [name for name in results if name.startswith("rerank[")] == []
        assert room.standing().candidates == 0


class TestTwoEditors:
    def test_the_second_is_told_who_was_there_first(self, room: Newsroom) -> None:
        with asked_by("anna"):
            act(room, "pin", TITLES[0], 1)
        with pytest.raises(
            InputError,
            match=rf"place 1 of topic 'solar' is taken by article '{TITLES[0]}': pinned to place 1 by \S+ for anna at .*election night",
        ):
            act(room, "pin", TITLES[1], 1)
        with pytest.raises(InputError, match="is moved already in topic 'solar': pinned to place 1 by"):
            act(room, "boost", TITLES[0], 3)
        act(room, "pin", TITLES[1], 2)
        act(room, "pin", TITLES[1], 1, slug="rain")
        room.sql("UPDATE rerank.editorial_act SET ends_at = now() WHERE article_id = :a", a=TITLES[0])
        act(room, "pin", TITLES[2], 1)  # its time is over

    def test_of_two_at_once_one_is_let_through(self, room: Newsroom) -> None:
        told = at_once(room)
        assert sorted(isinstance(one, InputError) for one in told) == [False, True]
        assert room.value("SELECT count(*) FROM rerank.editorial_act") == 1

    def test_control_without_the_index_both_are(self, room: Newsroom) -> None:
        room.sql("DROP INDEX rerank.editorial_act_place")
        assert not any(isinstance(one, InputError) for one in at_once(room))


def at_once(room: Newsroom) -> list[Any]:
    """What two editors are told who pin one place at one moment."""
    start = Barrier(2)

    def pin(article_id: str) -> Any:
        start.wait(10)
        try:
            return act(room, "pin", article_id, 1)
        except InputError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(pin, TITLES[:2]))


class TestComposition:
    def test_rows_over_the_limit_of_a_source_are_counted_and_explained(self, room: Newsroom) -> None:
        room.follow(make_topic(slug="tide", top_k=3, max_per_source=1, must=("tide",)))
        room.add("tide 1", "tide 2", "tide 3", source="Agency")
        room.add("tide 4", source="agency ")
        room.add("tide 5", source="other")
        published = room.run("second")["publish"]
        rows = room.ranking("tide")
        assert sorted(row.source.strip().lower() for row in rows) == ["agency", "other"]
        assert room.standing("tide").source_limited == published["source_limited"] == 3
        out = sorted({f"tide {n}" for n in range(1, 6)} - {row.article_id for row in rows})
        for article_id in out:
            found = room.explained(article_id, topic="tide")
            assert found.reason == "over_source_limit"
            assert "of source 'agency '" in found.sentence or "of source 'Agency'" in found.sentence
            assert "the topic shows at most 1. By its score it would stand at" in found.sentence

    def test_a_row_that_resembles_another_falls_and_names_it(self, room: Newsroom) -> None:
        common = " ".join(f"tide{number} harbour{number} pilot{number}" for number in range(40))
        texts = {
            "one": f"{common} the first ending of the story",
            "two": f"{common} " + " ".join(f"other{number}" for number in range(80)),
            "far": " ".join(f"quay{number} mole{number}" for number in range(60)) + " tide",
        }
        room.follow(make_topic(slug="tide", top_k=3, diversity=0.9, must=("tide",)))
        for name, body in texts.items():
            room.add(name, title=f"tide {name}", body=body)
        room.run("second")
        room.sql(
            "UPDATE rerank.pair_score s SET logit = CASE left(d.text, 8) WHEN 'tide one' THEN 3 WHEN 'tide two' THEN 2.9 ELSE 1 END"
            " FROM rerank.document d, rerank.query q WHERE d.document_id = s.document_id AND q.query_id = s.query_id AND q.query = 'tide'"
        )
        room.run("third")
        assert room.page("tide") == ["one", "far", "two"]
        row = room.ranking("tide")[2]
        assert (row.moved_by, row.moved) == ("diversity", -1)
        said = room.explained("two", topic="tide").sentence
        assert "By its score it would stand at 2: it fell by 1, because about " in said
        assert "of its shingles are those of article one, above it." in said


class TestCommands:
    def test_pin_list_and_undo(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("RERANK_DATABASE_URL", room.settings.database_url)
        monkeypatch.setenv("RERANK_STORE_URL", room.settings.store_url)
        last = room.page()[3]
        ask = ["--topic", "solar", "--until", "6h", "--reason", "election night"]
        assert told(capsys, "--as", "anna", "pin", last, "--place", "2", *ask).startswith(
            f"article {last} in topic solar, from the next page on: pinned to place 2 by "
        )
        listed = told(capsys, "editorial")
        assert all(word in listed for word in ("pin 2", "next", "for anna", "election night"))
        room.run("second")
        assert "rank 2, +2" in told(capsys, "editorial", "--topic", "solar")
        assert "pin +2" in told(capsys, "show", "solar")
        store = room.resources.store
        page = json.loads(store.read_json("news/latest.json") or b"")
        topic = json.loads(store.read_json(page["topics"]["solar"]["page"]) or b"")
        assert topic["articles"][1]["moved_by"] == "pin"
        assert topic["articles"][1]["moved"] == 2
        assert told(capsys, "undo", last, "--topic", "solar").startswith("undone, from the next page on")
        assert told(capsys, "editorial") == "nothing is pinned, boosted or demoted now\n"

    def test_a_pin_without_an_end_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["pin", "a", "--topic", "solar", "--reason", "r"])
        assert ended.value.code == 2
        assert "--until" in capsys.readouterr().err


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    assert ended.value.code in (0, None), printed.err
    return printed.out
