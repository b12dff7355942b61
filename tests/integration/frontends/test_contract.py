"""The contract is what a migrated Postgres, a published file and a written page really have, column by column."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from factories import Newsroom, make_topic
from redis_servers import RedisServer, needs_redis
from sqlalchemy import text

from rerank_core import pipeline
from rerank_core.errors import OverdueError, StoreUnavailable
from rerank_core.frontends import contract, contract_json, redis_copy
from rerank_core.frontends.columns import Column
from rerank_core.storage import migrations, schemas
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

VIEWS = sorted(contract.VIEWS)
ARROW = {
    "text": {"string"},
    "integer": {"int32"},
    "bigint": {"int64"},
    "real": {"float"},
    "double precision": {"double"},
    "boolean": {"bool"},
    "timestamp with time zone": {"timestamp[us, tz=UTC]"},
    "text[]": {"list<item: string>", "list<element: string>"},
}


def of_view(room: Newsroom, view: str) -> list[tuple[str, str]]:
    """(column, type) of a view, in its order."""
    found = room.sql(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = to_regclass(:view) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        view=f"rerank.{view}",
    )
    return [(str(name), str(kind)) for name, kind in found]


def differences(described: Iterable[Column], found: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Columns, each with its type, that stand on one side alone."""
    return {(column.name, column.type) for column in described} ^ set(found)


def named(names: str) -> list[tuple[str, str]]:
    return [(name, "text") for name in names.split()]


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_the_columns_and_types_that_are_described_in_that_order(room: Newsroom, view: str) -> None:
    assert of_view(room, view) == [(column.name, column.type) for column in contract.VIEWS[view]]


def test_control_a_column_without_description_and_one_that_is_not_there_are_found(room: Newsroom) -> None:
    found = of_view(room, "current_topic")
    assert differences(contract.TOPIC, found) == set()
    assert differences(contract.TOPIC, [*found, ("mood", "text")]) == {("mood", "text")}
    assert differences([*contract.TOPIC, Column("tone", "text", "A tone.")], found) == {("tone", "text")}
    retyped = [replace(contract.TOPIC[0], type="bigint"), *contract.TOPIC[1:]]
    assert differences(retyped, found) == {("pipeline", "bigint"), ("pipeline", "text")}


def test_the_file_has_the_types_of_the_views(room: Newsroom) -> None:
    types = {column.name: column.type for column in contract.RANKING}
    for field in schemas.PUBLISHED:
        assert str(field.type) in ARROW[types[field.name]], field.name


@pytest.mark.parametrize(
    ("table", "column", "described"),
    [
        ("ranking_topic", "state", contract.TOPIC),
        ("ranking", "ranked_by", contract.RANKING),
        ("ranking", "moved_by", contract.RANKING),
        ("change", "what", contract.CHANGE),
    ],
)
def test_every_value_that_the_table_takes_is_described(
    room: Newsroom, table: str, column: str, described: tuple[Column, ...]
) -> None:
    checks = room.sql(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass(:t) AND conname = :n",
        t=f"rerank.{table}",
        n=f"{table}_{column}_check",
    )
    taken = set(re.findall(r"'(\w+)'::text", checks[0][0]))
    assert taken
    if column == "state":
        assert taken == set(contract.STATES)
    else:
        name = {"what": "change"}.get(column, column)
        meaning = next(one.meaning for one in described if one.name == name)
        assert {value for value in taken if f"`{value}`" not in meaning} == set()


@pytest.fixture
def varied(room: Newsroom) -> Newsroom:
    """A page with everything that may be null, and its JSON files: one topic is degraded, one empty, one unscored, one pinned."""
    room.follow(
        make_topic(slug="empty", query="solar", languages=("fr",)),
        make_topic(slug="solar", query="solar"),
        make_topic(slug="wind", query="wind"),
        make_topic(slug="pinned", query="wind", must=("wind",)),
    )
    body = " ".join(f"word{number}" for number in range(60))  # of a cluster whose first article is hidden
    room.add("solar first", body=body, ingested_at=room.ago(hours=1))
    room.add("solar copy", title="solar first", body=f"{body} more", source="desk")
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'solar first', 'hoax')")
    for number in range(3):
        room.add(
            f"solar {number}",
            url=f"https://x.example/{number}",
            source="desk",
            published_at=room.ago(hours=number + 1),
        )
    room.add("solar without anything", "wind one", "wind two")
    room.sql(
        "INSERT INTO rerank.editorial_act (pipeline, slug, article_id, kind, amount, ends_at, reason)"
        " VALUES ('news', 'pinned', 'solar 0', 'pin', 1, now() + interval '1 day', 'r')"
    )
    room.run("first")
    room.edit("solar 1", title="solar 1, edited")
    room.add("solar 4", "wind three", url="ftp://x.example")
    room.engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 1}
    room.run("degraded")
    room.engines.options = {}
    return room


def json_files(room: Newsroom) -> tuple[Any, list[Any]]:
    """latest.json, and the topics' files that it names."""
    root = Path(room.resources.store.full_path(""))
    latest = json.loads((root / "news/latest.json").read_bytes())
    return latest, [json.loads((root / entry["page"]).read_bytes()) for entry in latest["topics"].values()]


def json_objects(room: Newsroom) -> dict[str, list[Any]]:
    """Every object of the JSON files, by the table that describes it."""
    latest, files = json_files(room)
    return {
        "LATEST": [latest],
        "LATEST_TOPIC": list(latest["topics"].values()),
        "TOPIC_FILE": files,
        "JSON_COUNTS": [file["counts"] for file in files],
        "JSON_ARTICLE": [article for file in files for article in file["articles"]],
        "JSON_CHANGE": [change for file in files for change in file["changes"]],
    }


def is_of_type(value: object, kind: str) -> bool:
    """Whether a JSON value has the type that a column of this type becomes."""
    match kind:
        case "timestamp with time zone":
            return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() is not None
        case "text[]":
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case "list of objects":
            return isinstance(value, list) and all(isinstance(one, dict) for one in value)
        case "boolean":
            return isinstance(value, bool)
        case "integer" | "bigint":
            return isinstance(value, int) and not isinstance(value, bool)
        case "real" | "double precision":
            return isinstance(value, float)
        case "object":
            return isinstance(value, dict)
        case "text":
            return isinstance(value, str)
    raise AssertionError(f"{kind} has no form in JSON")


@pytest.mark.parametrize(
    "table", ["LATEST", "LATEST_TOPIC", "TOPIC_FILE", "JSON_COUNTS", "JSON_ARTICLE", "JSON_CHANGE"]
)
def test_json_objects_have_the_keys_types_and_nulls_that_are_described(varied: Newsroom, table: str) -> None:
    described: tuple[Column, ...] = getattr(contract_json, table)
    objects = json_objects(varied)[table]
    assert objects
    for found in objects:
        assert set(found) == {column.name for column in described}
        for column in described:
            value = found[column.name]
            assert is_of_type(value, column.type) or (value is None and column.null), (column.name, value)


def nulls(rows: Iterable[dict[str, Any]]) -> dict[str, set[bool]]:
    """Of each column whether it has values that are null, and that are none."""
    found: dict[str, set[bool]] = {}
    for row in rows:
        for name, value in row.items():
            found.setdefault(name, set()).add(value is None)
    return found


@pytest.mark.parametrize("where", [*VIEWS, "parquet", "json"])
def test_nulls_stand_where_the_contract_has_a_meaning_for_them_and_nowhere_else(
    varied: Newsroom, where: str
) -> None:
    described = contract.VIEWS.get(where, contract.RANKING)
    if where == "parquet":
        path = varied.standing().parquet_path
        rows = pq.read_table(Path(varied.resources.store.full_path(path))).to_pylist()
    elif where == "json":
        rows = json_objects(varied)["JSON_ARTICLE"]
    else:
        rows = [dict(row._mapping) for row in varied.sql(f"SELECT * FROM rerank.{where}")]
    if where == "recent_change":  # of a page whose page before is past retention, too
        varied.sql("DELETE FROM rerank.article WHERE article_id = 'solar 2'")
        varied.run("later")
        rows = [dict(row._mapping) for row in varied.sql(f"SELECT * FROM rerank.{where}")]
        varied.sql("DELETE FROM rerank.deleted")
        varied.sql(
            "DELETE FROM rerank.ranking WHERE publication_id <> (SELECT publication_id FROM rerank.pointer)"
        )
        rows += [dict(row._mapping) for row in varied.sql(f"SELECT * FROM rerank.{where}")]
    if where == "current_topic":  # a page is overdue as a whole
        with pytest.raises(OverdueError):
            pipeline.publish_overdue(varied.resources, run_id=varied.open("overdue").run_id)
        rows += [dict(row._mapping) for row in varied.sql(f"SELECT * FROM rerank.{where}")]
    found = nulls(rows)
    expected = {
        column.name: {True, False} if column.null else {False} for column in described if column.name in found
    }
    assert found == expected


def test_the_second_block_is_as_described(varied: Newsroom) -> None:
    rows = varied.ranking("solar")
    by = [row.ranked_by for row in rows]
    assert by == sorted(by, reverse=True)  # model, then bm25
    assert len(set(by)) == 2
    for row in rows:
        unscored = {row.logit is None, row.probability is None, row.rank_score is None, row.scorer_id is None}
        assert unscored == {row.ranked_by != "model"}
    light = [row.light_score for row in rows if row.ranked_by == "bm25"]
    assert light == sorted(light, reverse=True)
    assert [row.rank for row in rows] == list(range(1, len(rows) + 1))


def test_scores_ages_and_copies_are_what_the_contract_says(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", half_life_hours=6), make_topic(slug="power", query="solar power"))
    room.add(
        "solar power", "solar power panel", ingested_at=room.ago(hours=3), published_at=room.ago(hours=12)
    )
    room.add("solar early", ingested_at=room.ago(hours=5), published_at=room.ago(hours=-2))
    room.add("solar copy", "solar copy, too", title="solar copy", ingested_at=room.ago(hours=1))
    room.run("first")
    room.edit("solar early", title="solar early, edited")
    room.add("solar new")
    room.run("second")
    rows = {row.article_id: row for row in room.ranking()}
    for row in rows.values():
        assert row.probability == pytest.approx(1 / (1 + math.exp(-row.logit)), rel=1e-6)
        earlier = min(row.first_ingested_at, row.published_at or row.first_ingested_at)
        hours = (row.as_of - earlier).total_seconds() / 3600
        assert row.rank_score == pytest.approx(row.logit - math.log(2) * hours / 6, rel=1e-6)
    order = sorted(rows.values(), key=lambda row: (-row.rank_score, row.article_id))
    assert [row.rank for row in order] == list(range(1, len(rows) + 1))
    assert {name for name, row in rows.items() if row.is_new} == {"solar new"}
    assert rows["solar early"].title == "solar early, edited"
    assert {name: row.copies for name, row in rows.items() if row.copies > 1} == {"solar copy": 2}
    assert "solar power" in {row.article_id for row in room.ranking("power")}  # in several topics


@pytest.mark.parametrize("view", ["current_ranking", "recent_ranking"])
def test_the_keys_are_unique(varied: Newsroom, view: str) -> None:
    rows = varied.value(f"SELECT count(*) FROM rerank.{view}")
    for key in ("rank", "article_id"):
        distinct = varied.value(
            f"SELECT count(*) FROM (SELECT DISTINCT pipeline, publication_id, topic, {key} FROM rerank.{view}) k"
        )
        assert distinct == rows
    assert rows > 0


def test_the_counts_of_a_topic_add_up(varied: Newsroom) -> None:
    rows = varied.sql("SELECT * FROM rerank.current_topic")
    assert {row.state for row in rows} == {"abstained", "degraded", "full"}
    for row in rows:
        assert row.candidates == row.from_ledger + row.scored + row.refused + row.missing + row.left_out
        assert (row.missing > 0) == (row.state == "degraded")
        assert row.ranked == len(varied.ranking(row.topic))
        assert row.page_degraded


def test_the_digest_is_the_one_of_the_files_bytes(varied: Newsroom) -> None:
    row = varied.standing()
    content = Path(varied.resources.store.full_path(row.parquet_path)).read_bytes()
    assert row.parquet_sha256 == hashlib.sha256(content).hexdigest()


def test_rows_of_the_file_stand_in_the_order_that_is_described(varied: Newsroom) -> None:
    rows = pq.read_table(Path(varied.resources.store.full_path(varied.standing().parquet_path)))
    keys = list(zip(rows["topic"].to_pylist(), rows["rank"].to_pylist(), strict=True))
    assert keys == sorted(keys)


@needs_redis
def test_the_hot_copy_has_the_keys_that_are_described(varied: Newsroom, redis_server: RedisServer) -> None:
    room = varied.tuned(redis_url=redis_server.url)
    redis_copy.sync(database=room.database, settings=room.settings)
    latest, files = json_files(varied)
    with redis_server.client(decode_responses=True) as client:
        page = json.loads(client.get("rerank:{news}:page"))
        topics = {slug: json.loads(client.get(f"rerank:{{news}}:topic:{slug}")) for slug in latest["topics"]}
        ranked = client.zrange("rerank:{news}:ranked:solar", 0, -1, withscores=True)
        assert client.exists("rerank:{news}:ranked:empty") == 0
        names = set(client.keys())
    assert names == {
        "rerank:{news}:page",
        *(f"rerank:{{news}}:ranked:{slug}" for slug in ("solar", "wind", "pinned")),
        *(f"rerank:{{news}}:topic:{slug}" for slug in topics),
    }
    assert topics == {file["topic"]: file for file in files}
    assert ranked == [(row.article_id, row.rank) for row in varied.ranking("solar")]
    for described, found in (
        (contract_json.REDIS_PAGE, page),
        *((contract_json.REDIS_TOPIC, one) for one in page["topics"].values()),
    ):
        assert set(found) == {column.name for column in described}
        assert all(
            is_of_type(found[column.name], column.type) or (found[column.name] is None and column.null)
            for column in described
        )


class TestComments:
    """psql's \\d+ shows the descriptions."""

    def of(self, url: str, view: str, number: int) -> str | None:
        with Database(url).transaction(read_only=True) as connection:
            found = connection.execute(
                text(
                    "SELECT pg_catalog.obj_description(to_regclass(:v)), col_description(to_regclass(:v), :n)"
                ),
                {"v": f"rerank.{view}", "n": number},
            ).one()
        return found[1] if number else found[0]  # type: ignore[no-any-return]

    @pytest.mark.parametrize("view", VIEWS)
    def test_every_view_and_column_has_its_description(self, database_url: str, view: str) -> None:
        assert str(self.of(database_url, view, 0)).startswith(contract.VIEW_MEANS[view])
        for number, column in enumerate(contract.VIEWS[view], start=1):
            assert self.of(database_url, view, number) == contract.comment(column)

    def test_a_description_says_type_unit_and_null_without_markdown(self) -> None:
        found = {column.name: contract.comment(column) for column in contract.RANKING}
        assert found["logit"].endswith("Unit: log-odds. Null: ranked_by is not model.")
        assert found["rank"].endswith("Unit: place. Never null.")
        assert not [name for name, comment in found.items() if "`" in comment or "](" in comment]

    def test_an_upgrade_mends_a_comment_and_touches_no_view_whose_comments_are_right(
        self, database_url: str
    ) -> None:
        with Database(database_url).transaction() as connection:
            connection.execute(text("COMMENT ON COLUMN rerank.current_topic.state IS 'mine'"))
        with Database(database_url).transaction() as holder:
            # What another comment on this view would have to wait for.
            holder.execute(text("LOCK TABLE rerank.current_ranking IN SHARE UPDATE EXCLUSIVE MODE"))
            migrations.upgrade(database_url, comments=contract.comments())
        assert "One of full, degraded" in str(self.of(database_url, "current_topic", 5))


def test_a_page_that_could_not_be_written_keeps_its_old_time(
    varied: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract calls the JSON files hints: as_of tells that they lag."""

    def broken(*_: Any) -> None:
        raise StoreUnavailable("the store is away; try again")

    before, _ = json_files(varied)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_json", broken)
        varied.run("later")
    after, _ = json_files(varied)
    assert after["as_of"] == before["as_of"] < varied.standing().as_of.isoformat()
