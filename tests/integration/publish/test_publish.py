"""A publication is whole or not there, says why it differs, and never takes the page back in time."""

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow.parquet as pq
import pytest
from factories import Newsroom, make_topic, statement_replaced

from rerank_core.errors import FencedError
from rerank_core.frontends import json_pages
from rerank_core.publish import publish
from rerank_core.records import Run
from rerank_core.storage import runs, schemas

MOVE_ALWAYS = (
    "INSERT INTO rerank.pointer (pipeline, publication_id) VALUES (:pipeline, :publication_id)"
    " ON CONFLICT (pipeline) DO UPDATE SET publication_id = EXCLUDED.publication_id RETURNING publication_id"
)


def publication(room: Newsroom, run: Run, fence: int) -> publish.Published:
    return publish.publish(
        database=room.database, store=room.resources.store, settings=room.settings, run=run, fence=fence
    )


def news(room: Newsroom) -> None:
    """Three articles and two topics, one of them without a match."""
    room.follow("solar", make_topic(slug="french", query="solar", languages=("fr",)))
    room.add("solar power", url="http://x.example/1", source="desk", published_at=room.ago(hours=5))
    room.add("solar", title='太阳 solar "quoted", comma\nand line', lang="zh")
    room.add("wind")


def block(room: Newsroom, article_id: str) -> None:
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', :a, 'r')", a=article_id)


def test_the_table_equals_the_parquet_file_row_for_row(room: Newsroom) -> None:
    news(room)
    room.engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 1}  # so that there are nulls, too
    found = room.run()["publish"]
    # Of a real, its float8 is the very same number; its shortest decimal is not.
    names = [
        f"{field.name}::float8" if str(field.type) == "float" else field.name for field in schemas.PUBLISHED
    ]
    table = room.sql(
        f"SELECT {', '.join(names)} FROM (SELECT *, slug AS topic FROM rerank.ranking) r JOIN ("
        "SELECT publication_id, pipeline, as_of, run_id, version, fence AS attempt FROM rerank.publication) p"
        " USING (publication_id) ORDER BY topic, rank"
    )
    file = room.parquet(found).to_pylist()
    assert [dict(row._mapping) for row in table] == file
    assert len(file) == found["rows"] == 2
    view = room.sql("SELECT * FROM rerank.current_ranking ORDER BY topic, rank")
    shared = set(view[0]._fields) & set(file[0]) - {"logit", "light_score"}
    assert set(file[0]) - shared <= {"logit", "light_score", "document_id"}
    assert [{name: row._mapping[name] for name in shared} for row in view] == [
        {name: row[name] for name in shared} for row in file
    ]
    assert {row["ranked_by"] for row in file} == {"model", "bm25"}


def test_the_publication_names_the_file_and_its_digest(room: Newsroom) -> None:
    news(room)
    found = room.run()["publish"]
    row = room.sql("SELECT parquet_path, parquet_sha256, row_count, rows_sha256 FROM rerank.publication")[0]
    content = Path(found["parquet"]).read_bytes()
    assert tuple(row) == (found["parquet_path"], hashlib.sha256(content).hexdigest(), 3, found["rows_sha256"])
    assert pq.read_schema(found["parquet"]).equals(schemas.PUBLISHED)
    assert room.standing().parquet_path == found["parquet_path"]


def test_duckdb_and_polars_read_the_file(room: Newsroom) -> None:
    news(room)
    found = room.run()["publish"]
    page = room.page()
    statement = "SELECT article_id FROM read_parquet(?) WHERE topic = 'solar' ORDER BY rank"
    assert [row[0] for row in duckdb.execute(statement, [found["parquet"]]).fetchall()] == page
    frame = polars.read_parquet(found["parquet"]).filter(polars.col("topic") == "solar").sort("rank")
    assert frame["article_id"].to_list() == page
    assert len(page) == 3


def test_each_topic_says_how_it_stands(room: Newsroom) -> None:
    room.follow(
        "solar",
        make_topic(slug="strict", query="solar", min_score=1e6),
        make_topic(slug="none", languages=("fr",)),
    )
    room.add("solar")
    room.run()
    assert [
        (row.topic, row.state, row.candidates, row.scored, row.ranked)
        for row in room.sql("SELECT * FROM rerank.current_topic ORDER BY topic")
    ] == [("none", "abstained", 0, 0, 0), ("solar", "full", 1, 1, 1), ("strict", "abstained", 1, 1, 0)]


def test_decay_and_min_score_follow_the_formula(room: Newsroom) -> None:
    room.follow(make_topic(query="solar power", half_life_hours=24, min_score=3.0))
    room.add("solar power old", published_at=room.ago(hours=48))
    room.add("solar power new", ingested_at=room.ago(hours=24), published_at=room.ago(hours=1))
    room.add("solar")  # logit 0: under the least score
    room.run(until=room.now)
    new, old = room.ranking()
    assert (new.article_id, old.article_id) == ("solar power new", "solar power old")
    # logit 4; one half-life takes ln 2 = 0.693, two take 1.386
    assert (new.logit, old.logit) == (pytest.approx(4, abs=0.02), pytest.approx(4, abs=0.02))
    assert new.logit - new.rank_score == pytest.approx(0.693147, abs=1e-5)
    assert old.logit - old.rank_score == pytest.approx(1.386294, abs=1e-5)
    assert new.probability == pytest.approx(0.982, abs=1e-3)


def test_a_topic_without_a_candidate_publishes_an_empty_page_without_an_engine(room: Newsroom) -> None:
    room.follow(make_topic(languages=("fr",)))
    room.add("solar")
    found = room.run()["publish"]
    assert (found["rows"], found["is_current"], room.standing().state) == (0, True, "abstained")
    assert room.engines.built == []
    assert room.parquet(found).num_rows == 0


def test_new_rows_are_marked_in_the_run_that_brought_them_alone(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    room.run()
    assert [row.is_new for row in room.ranking()] == [True]
    room.add("solar 2")
    room.run()
    assert {row.article_id: row.is_new for row in room.ranking()} == {"solar 1": False, "solar 2": True}


class TestFence:
    """An older try cannot commit over a newer one."""

    def overtaken(self, room: Newsroom) -> tuple[Run, int]:
        """A run ready to publish, and the fence of a try that a newer one has overtaken and gone before."""
        news(room)
        run = room.until("publish", "k")
        with room.database.transaction() as connection:
            old = runs.take_fence(connection, run.run_id)
        room.stage("publish", run)
        block(room, "solar")  # so that the older try would publish other rows
        return room.again(run), old

    def test_an_older_try_commits_nothing(self, room: Newsroom) -> None:
        run, old = self.overtaken(room)
        with pytest.raises(FencedError, match=f"expected fence {old}, found {old + 1}"):
            publication(room, run, old)
        assert room.value("SELECT count(*) FROM rerank.publication") == 1
        assert room.value("SELECT count(*) FROM rerank.ranking") == 3

    def test_control_without_the_fence_it_does(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
        run, old = self.overtaken(room)
        monkeypatch.setattr(runs, "hold_fence", lambda *_: None)
        # The database checks it once more where the pointer moves.
        statement_replaced(monkeypatch, "publish.move_pointer", MOVE_ALWAYS)
        publication(room, run, old)
        assert room.value("SELECT count(*) FROM rerank.publication") == 2
        assert room.standing().version == 2


def test_a_publication_that_fails_in_the_middle_leaves_the_page_as_it_was(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    news(room)
    room.run("good")
    before = [tuple(row) for row in room.sql("SELECT * FROM rerank.current_ranking ORDER BY topic, rank")]
    room.add("solar 4")
    run = room.until("publish", "bad")

    def fails(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "_settle_fills", fails)  # the last step before the commit
    with pytest.raises(KeyboardInterrupt):
        room.stage("publish", run)
    assert [
        tuple(row) for row in room.sql("SELECT * FROM rerank.current_ranking ORDER BY topic, rank")
    ] == before
    assert room.value("SELECT count(*) FROM rerank.publication") == 1
    monkeypatch.undo()


def backfill(room: Newsroom) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The page of a run of now, and what a run of five hours ago gives after it."""
    room.follow("solar")
    room.add("solar old", ingested_at=room.ago(hours=9))
    room.add("solar new")
    room.until("recall", "claims the old one", until=room.ago(hours=6))
    room.edit("solar old", title="solar edited")
    room.run("now")
    page = room.page()
    return page, room.run("backfill", until=room.ago(hours=5))


def test_a_run_of_an_older_time_leaves_the_page_alone(room: Newsroom) -> None:
    page, results = backfill(room)
    assert sorted(page) == ["solar new", "solar old"]
    assert not results["publish"]["is_current"]
    assert room.page() == page
    # It shows what was claimed by then: the text before the edit.
    assert room.parquet(results["publish"]).column("title").to_pylist() == ["solar old"]
    moves = room.sql("SELECT from_publication_id, to_publication_id FROM rerank.pointer_move")
    assert len(moves) == 1


def test_control_a_pointer_that_always_moves_goes_back_in_time(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_replaced(monkeypatch, "publish.move_pointer", MOVE_ALWAYS)
    page, _ = backfill(room)
    assert room.page() == ["solar old"] != page


def test_a_pointer_that_is_held_does_not_move(room: Newsroom) -> None:
    news(room)
    first = room.run()["publish"]
    room.sql("UPDATE rerank.pointer SET held = true")
    assert not room.run()["publish"]["is_current"]
    assert room.standing().publication_id == first["publication_id"]


def test_the_views_hide_a_blocked_article_at_once(room: Newsroom) -> None:
    news(room)
    room.run()
    assert "solar" in room.page()
    block(room, "solar")
    assert "solar" not in room.page()


def test_a_deactivated_topic_leaves_the_page_and_comes_back_with_its_scores(room: Newsroom) -> None:
    room.follow("solar", "wind")
    room.add("solar 1", "wind 1")
    room.run()
    before = [(row.article_id, row.logit) for row in room.ranking("wind")]
    room.follow("solar")
    published = room.run()["publish"]
    assert [row.topic for row in room.sql("SELECT topic FROM rerank.current_topic")] == ["solar"]
    assert room.page("wind") == []
    assert set(room.parquet(published).column("topic").to_pylist()) == {"solar"}
    latest = json_pages.read_latest(room.resources.store, "news")
    assert latest is not None
    assert set(latest["topics"]) == {"solar"}
    room.follow("solar", "wind")
    room.engines.built.clear()
    room.run()
    assert [(row.article_id, row.logit) for row in room.ranking("wind")] == before
    assert room.engines.built == []


def test_pipelines_have_pages_of_their_own(room: Newsroom) -> None:
    news(room)
    room.run()
    shadow = room.tuned(pipeline="shadow")
    shadow.follow("wind")
    shadow.run()
    found = room.sql("SELECT DISTINCT pipeline, topic FROM rerank.current_topic ORDER BY 1, 2")
    assert [tuple(row) for row in found] == [("news", "french"), ("news", "solar"), ("shadow", "wind")]


@pytest.mark.parametrize("logit", [-800.0, 0.0, 800.0])
def test_the_view_gives_a_probability_for_any_logit(room: Newsroom, logit: float) -> None:
    news(room)
    run = room.until("degrade", "k")
    room.sql("UPDATE rerank.pair_score SET logit = :logit", logit=logit)
    room.stage("degrade", run)
    room.stage("publish", run)
    expected = {-800.0: 0.0, 0.0: 0.5, 800.0: 1.0}[logit]
    assert [row.probability for row in room.ranking()] == [pytest.approx(expected, abs=1e-12)] * 3
