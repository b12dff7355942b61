"""Recall by vectors in Postgres: the store itself, the task that fills it, and what a topic then finds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import numpy as np
import pytest
from factories import FakeEngines, Newsroom, make_topic, never, statement_replaced
from sqlalchemy import text
from vectors_contract import DIMENSIONS, DOCUMENTS, VectorsContract, brute_force, unit_vectors

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.errors import EngineError, ModelError, SettingsError
from rerank_core.models import embedders as registry
from rerank_core.models import numpy_embedder
from rerank_core.models.embedding import FakeEmbedder
from rerank_core.operations import removal
from rerank_core.recall import dense, embed, pgvector, strategy
from rerank_core.recall.pgvector import PgVectors
from rerank_core.settings import USE_MULTILINGUAL
from rerank_core.storage import database as db

SAME = {"太阳能": "solar", "发电": "power", "太阳能发电": "solar"}


def add_documents(room: Newsroom, count: int) -> np.ndarray[Any, Any]:
    """Ids of this many documents."""
    return np.asarray(
        [
            row.document_id
            for row in room.sql(
                "INSERT INTO rerank.document (digest, month, lang, length, text, terms)"
                " SELECT sha256(CAST(CAST(n AS text) AS bytea)), '2026-01-01', 'en', 1, 'x', 'x'"
                " FROM generate_series(1, :count) n RETURNING document_id",
                count=count,
            )
        ],
        dtype=np.int64,
    )


class TestStore(VectorsContract):
    """pgvector keeps the contract of every store."""

    @pytest.fixture
    def ids(self, room: Newsroom) -> Any:
        return add_documents(room, DOCUMENTS)

    @pytest.fixture
    def embedder_id(self, room: Newsroom) -> int:
        with room.database.transaction() as connection:
            number = registry.register(connection, FakeEmbedder(dimensions=DIMENSIONS).identity)
            pgvector.ensure(connection, embedder_id=number, dimensions=DIMENSIONS)
        return number

    @pytest.fixture
    def vectors(self, room: Newsroom, embedder_id: int) -> Iterator[PgVectors]:
        with PgVectors(room.database, embedder_id=embedder_id) as found:
            yield found

    def test_a_search_goes_by_the_index(self, room: Newsroom, full: Any, embedder_id: int) -> None:
        vectors, ids, _ = full
        vectors.nearest(unit_vectors(1)[0], ids[::2], 5)
        plan = vectors._searching.execute(
            text(
                f"EXPLAIN SELECT v.document_id FROM rerank.vector_{embedder_id} v"
                " WHERE (EXISTS (SELECT FROM pg_temp.wanted_0 w WHERE w.document_id = v.document_id)) IS TRUE"
                f" ORDER BY v.vector <#> CAST('{pgvector._as_text(unit_vectors(1)[0])}' AS halfvec) LIMIT 5"
            )
        )
        assert "_vector_idx" in "\n".join(plan.scalars())

    def test_where_the_index_gives_up_the_answer_is_completed_exactly(
        self, full: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vectors, ids, matrix = full
        hasty = (
            "SELECT set_config('hnsw.ef_search', '40', true), set_config('hnsw.iterative_scan', 'off', true)"
        )
        statement_replaced(monkeypatch, "pgvector.search_settings", hasty)
        few = np.random.default_rng(5).choice(len(ids), 30, replace=False)
        few.sort()
        query = unit_vectors(1, seed=8)[0]
        found, _ = vectors.nearest(query, ids[few], 20)
        assert found.tolist() == brute_force(query, ids[few], matrix[few], 20)

    def test_searches_of_many_windows_do_not_mix(self, full: Any) -> None:
        vectors, ids, matrix = full
        query = unit_vectors(1, seed=8)[0]
        for start in [0, 1, 2, 3, 4, 5, 0, 3]:  # more than are kept at hand
            found, _ = vectors.nearest(query, ids[start::6], 10)
            assert found.tolist() == brute_force(query, ids[start::6], matrix[start::6], 10)

    def test_a_vector_that_is_there_stays(self, vectors: PgVectors, ids: Any) -> None:
        vectors.add(ids[:1], unit_vectors(1))
        vectors.add(ids[:2], unit_vectors(2, seed=9))
        assert np.array_equal(vectors.read(ids[:1])[1], unit_vectors(1))

    def test_a_document_that_is_gone_gets_no_vector(self, vectors: PgVectors, ids: Any) -> None:
        vectors.add(np.asarray([ids[0], 10**9]), unit_vectors(2))
        assert vectors.read(np.asarray([ids[0], 10**9]))[0].tolist() == [ids[0]]

    def test_a_document_that_is_being_forgotten_gets_no_vector(
        self, room: Newsroom, vectors: PgVectors, ids: Any
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            with room.database.transaction() as connection:
                db.execute(connection, "removal.lock_documents")
                connection.execute(
                    text("DELETE FROM rerank.document WHERE document_id = :id"), {"id": int(ids[0])}
                )
                adding = pool.submit(vectors.add, ids[:2], unit_vectors(2))
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                while not adding.done() and not room.value(waiting):
                    sleep(0.01)
            adding.result()
        assert vectors.read(ids[:2])[0].tolist() == [ids[1]]

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE rerank.document SET text = '' WHERE document_id = :id",
            "DELETE FROM rerank.document WHERE document_id = :id",
        ],
    )
    def test_a_text_that_is_forgotten_takes_its_vector_with_it(
        self, room: Newsroom, vectors: PgVectors, ids: Any, statement: str
    ) -> None:
        vectors.add(ids[:2], unit_vectors(2))
        room.sql(statement, id=int(ids[0]))
        assert vectors.read(ids[:2])[0].tolist() == [ids[1]]

    @pytest.mark.parametrize("dimensions", [1, 1024, 4000, 4001])
    def test_every_width_of_vector_fits(self, room: Newsroom, ids: Any, dimensions: int) -> None:
        with room.database.transaction() as connection:
            number = registry.register(connection, FakeEmbedder(dimensions=dimensions).identity)
            pgvector.ensure(connection, embedder_id=number, dimensions=dimensions)
        matrix = unit_vectors(3, dimensions=dimensions)
        with PgVectors(room.database, embedder_id=number) as vectors:
            vectors.add(ids[:3], matrix)
            assert np.array_equal(vectors.read(ids[:3])[1], matrix)
            assert vectors.nearest(matrix[1], ids[:3], 1)[0].tolist() == [ids[1]] or dimensions == 1


def test_without_the_right_to_make_the_extension_the_error_says_what_to_do(
    room: Newsroom, postgres: EmbeddedPostgres, empty_database_url: str
) -> None:
    from rerank_core.storage.database import Database
    from rerank_core.storage.migrations import upgrade

    upgrade(empty_database_url)
    with pytest.raises(
        SettingsError, match=r"CREATE EXTENSION vector SCHEMA rerank there, or set RERANK_RECALL=bm25"
    ):
        with Database(empty_database_url).transaction() as connection:
            connection.execute(text("CREATE ROLE nobody_special"))
            connection.execute(text("GRANT ALL ON SCHEMA rerank TO nobody_special"))
            connection.execute(text("SET LOCAL ROLE nobody_special"))
            pgvector.ensure(connection, embedder_id=1, dimensions=4)


class FakeEmbedders:
    """Stands in for the embedding model: gives FakeEmbedders with these options, and keeps those that it gave."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.options: dict[str, Any] = {"synonyms": SAME}
        self.built: list[FakeEmbedder] = []
        monkeypatch.setattr(registry, "identity", lambda settings: FakeEmbedder(**self.options).identity)
        monkeypatch.setattr(registry, "load", lambda settings: self._load())

    def _load(self) -> FakeEmbedder:
        self.built.append(FakeEmbedder(**self.options))
        return self.built[-1]


@pytest.fixture
def embedders(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedders:
    return FakeEmbedders(monkeypatch)


@pytest.fixture
def dense_room(room: Newsroom, embedders: FakeEmbedders) -> Newsroom:
    return room.tuned(recall="dense", fill_factor=1)


@pytest.mark.parametrize("exact_documents", [20_000, 0], ids=["compared in memory", "by the index"])
def test_a_chinese_topic_finds_an_english_article(
    dense_room: Newsroom, monkeypatch: pytest.MonkeyPatch, exact_documents: int
) -> None:
    monkeypatch.setattr(dense, "EXACT_DOCUMENTS", exact_documents)
    room = dense_room
    room.follow(make_topic(query="太阳能", candidate_limit=2))
    room.add("solar", "cooking apples", "wind and rain")
    room.add("太阳能 发电", "市场 水果", lang="zh")
    run = room.until("recall")
    room.stage("recall", run)
    assert room.wanted(run) == {"solar", "太阳能 发电"}
    counts = "wanted, not_recalled, not_recalled_language"
    assert room.sql(f"SELECT {counts} FROM rerank.run_topic") == [(2, 3, 0)]
    assert [(row["article_id"], row["recalled_by"], row["recall_rank"]) for row in room.pairs(run)] == [
        ("solar", "dense", 1),
        ("太阳能 发电", "dense", 2),
    ]


def test_control_by_words_it_does_not(room: Newsroom) -> None:
    room = room.tuned(fill_factor=1)
    room.follow(make_topic(query="太阳能发电", candidate_limit=2))
    room.add("solar", "cooking apples", "wind and rain")
    room.add("太阳能 发电", "市场 水果", lang="zh")
    run = room.until("recall")
    room.stage("recall", run)
    assert "solar" not in room.wanted(run)


def test_a_new_topic_searches_the_whole_window(dense_room: Newsroom) -> None:
    room = dense_room
    room.follow("wind")
    room.add(*(f"wind {number}" for number in range(4)), "power", ingested_at=room.ago(hours=30))
    room.run()
    room.follow("wind", make_topic(slug="electricity", query="发电", candidate_limit=1))
    run = room.until("recall")
    assert room.stage("recall", run)["claimed_documents"] == 0
    assert room.wanted(run, "electricity") == {"power"}


def test_documents_and_queries_are_embedded_once(dense_room: Newsroom, embedders: FakeEmbedders) -> None:
    room = dense_room
    room.follow("solar", "wind")
    room.add("solar 1", "solar 2")
    first = room.run()["embed"]
    assert (first["documents"], first["had"], first["embedded"], first["queries"]) == (2, 0, 2, 2)
    room.add("solar 3")
    second = room.run()["embed"]
    assert (second["documents"], second["had"], second["embedded"], second["queries"]) == (3, 2, 1, 0)
    third = room.run()["embed"]
    assert (third["documents"], third["had"], third["embedded"]) == (3, 3, 0)
    assert [one.asked for one in embedders.built] == [4, 1]  # nothing to embed: the engine is not started


def test_the_vectors_of_another_model_are_never_mixed_in(
    dense_room: Newsroom, embedders: FakeEmbedders
) -> None:
    room = dense_room
    room.follow("solar")
    room.add("solar 1", "solar 2")
    room.run()
    embedders.options = {"name": "other", "dimensions": 16}
    found = room.run()["embed"]
    assert (found["had"], found["embedded"], found["queries"]) == (0, 2, 1)
    assert room.value("SELECT count(DISTINCT embedder_id) FROM rerank.query_vector") == 2
    assert room.value("SELECT count(*) FROM rerank.embedder") == 2


def test_a_killed_task_resumes_where_it_stopped(
    dense_room: Newsroom, embedders: FakeEmbedders, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = dense_room
    monkeypatch.setattr(embed, "BATCH", 1)
    room.follow("solar")
    room.add("solar 1", "poison", "solar 2")
    embedders.options |= {"fail_at_text": "poison"}
    run = room.until("embed")
    with pytest.raises(EngineError):
        room.stage("embed", run)
    embedders.options.pop("fail_at_text")
    again = room.stage("embed", run)
    assert (again["had"], again["embedded"], again["queries"]) == (1, 2, 0)


def test_what_the_time_limit_leaves_is_counted_recalled_by_words_and_taken_up_by_the_next_run(
    dense_room: Newsroom,
) -> None:
    room = dense_room
    room.follow(make_topic(query="太阳能", candidate_limit=1))
    room.add("solar", "apples")
    found = room.tuned(scoring_minutes=1e-9).run("hurried")
    assert (found["embed"]["embedded"], found["embed"]["left"]) == (0, 2)
    assert found["recall"]["candidates"] == 0
    assert found["recall"]["not_recalled_language"] == 2
    healed = room.run("whole")
    assert healed["embed"]["embedded"] == 2
    assert room.page() == ["solar"]  # though it was claimed by the run before


def test_a_forgotten_article_takes_its_vector_with_it(dense_room: Newsroom) -> None:
    room = dense_room
    room.follow(make_topic(query="solar", candidate_limit=1))
    room.add("solar", "apples")
    room.run()
    (table,) = (
        row.name
        for row in room.sql("SELECT format('rerank.vector_%s', embedder_id) AS name FROM rerank.embedder")
    )
    removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id="solar",
        reason="asked for",
    )
    kept = room.sql(f"SELECT r.article_id FROM {table} JOIN rerank.revision r USING (document_id)")
    assert [row.article_id for row in kept] == ["apples"]
    assert room.value(f"SELECT count(*) FROM {table}") == 1


@pytest.mark.parametrize("error", [EngineError("no device"), ModelError("no weights here")], ids=type)
def test_a_failed_embedding_does_not_take_the_page_down_and_heals(
    dense_room: Newsroom, embedders: FakeEmbedders, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    room = dense_room

    def fail(_: Any) -> Any:
        raise error

    room.follow(make_topic(query="solar", candidate_limit=1))
    room.add("太阳能", lang="zh")
    room.add("apples")
    room.run("good")
    assert room.page() == ["太阳能"]
    with monkeypatch.context() as broken:
        broken.setattr(registry, "load", fail)
        room.add("solar", "发电")
        found = room.run("broken")
        assert "embed" not in found
        assert not found["publish"]["degraded"]
        assert "solar" in room.page()
    room.run("healed")
    names = [row.recall for row in room.sql("SELECT recall FROM rerank.run ORDER BY run_id")]
    identity = registry.identity(room.settings).digest[:12]
    assert names == [f"dense {identity}", f"dense {identity}, partly", f"dense {identity}"]


def test_before_anything_was_ever_embedded_recall_is_by_words(
    dense_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = dense_room

    def fail(_: Any) -> Any:
        raise ModelError("no weights here")

    monkeypatch.setattr(registry, "identity", fail)
    room.follow("solar")
    room.add("solar")
    room.run()
    assert room.page() == ["solar"]
    assert room.value("SELECT recall FROM rerank.run") == "bm25"


def test_another_strategy_fills_the_topics_again(room: Newsroom, embedders: FakeEmbedders) -> None:
    room = room.tuned(fill_factor=1)
    room.follow(make_topic(query="太阳能", candidate_limit=1))
    room.add("solar", "apples")
    assert room.run()["recall"]["not_recalled_language"] == 2
    assert room.page() == []
    found = room.tuned(recall="dense").run()
    assert found["recall"]["claimed_documents"] == 0
    assert room.page() == ["solar"]
    assert "rerank[0]" not in room.tuned(recall="dense").run()


def test_hybrid_recall_says_what_found_each_pair(room: Newsroom, embedders: FakeEmbedders) -> None:
    room = room.tuned(recall="hybrid", fill_factor=1)
    room.follow(make_topic(query="solar", candidate_limit=2))
    room.add("solar", "apples pears", "rain snow")
    room.add("太阳能", lang="zh")
    run = room.until("recall")
    room.stage("recall", run)
    assert {row["article_id"]: row["recalled_by"] for row in room.pairs(run)} == {
        "solar": "bm25+dense",
        "太阳能": "dense",
    }


def test_a_frozen_run_embeds_nothing_more(
    dense_room: Newsroom, embedders: FakeEmbedders, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = dense_room
    room.follow("solar")
    room.add("solar 1")
    first = room.run("k")
    monkeypatch.setattr(registry, "identity", never)
    again = room.run("k")
    assert again["embed"]["documents"] == 0
    assert again["publish"]["rows_sha256"] == first["publish"]["rows_sha256"]


@pytest.mark.parametrize("strategy", ["bm25", "exhaustive"])
def test_recall_without_vectors_needs_no_model_and_no_extension(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setattr(registry, "identity", never)
    monkeypatch.setattr(pgvector, "ensure", never)
    monkeypatch.setattr(dense.Dense, "__init__", never)
    room = room.tuned(recall=strategy)
    room.follow("solar")
    room.add("solar 1")
    assert room.run()["embed"]["documents"] == 0
    assert room.page() == ["solar 1"]


def test_a_fresh_schema_has_no_extension(empty_database_url: str) -> None:
    from rerank_core.storage.database import Database
    from rerank_core.storage.migrations import upgrade

    upgrade(empty_database_url)
    with Database(empty_database_url).transaction() as connection:
        assert (
            connection.execute(text("SELECT count(*) FROM pg_extension WHERE extname = 'vector'")).scalar()
            == 0
        )


def test_the_plan_of_a_dense_run_starts_no_engine(
    dense_room: Newsroom, engines: FakeEngines, embedders: FakeEmbedders, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rerank_core.operations.plan import plan
    from rerank_core.rerank import rerank
    from rerank_core.rerank.rerank import Workload

    room = dense_room
    room.follow("solar")
    room.add("solar 1")
    room.run()
    room.add("solar 2")
    monkeypatch.setattr(registry, "load", never)
    monkeypatch.setattr(
        rerank, "workload", lambda **_: Workload(1, 1, cached=None, cut_pairs=0, cut_tokens=0, seconds=None)
    )
    assert plan(room.resources).articles == 1


# ── The embedder that needs no GPU, itself ──────────────────────────────────────────────────────────


@pytest.fixture
def meaning_room(room: Newsroom) -> Newsroom:
    return room.tuned(recall="dense", embedding_model=USE_MULTILINGUAL, fill_factor=1)


BY_MEANING = "Physicians walk out of hospitals over pay"


def add_strike(room: Newsroom) -> None:
    """Articles on a strike of doctors, and others; the Chinese one shares a word with the query 医生罢工."""
    room.add(BY_MEANING, "Rain expected in the north", "A new phone has a better camera")
    room.add("医生推荐的家常食谱", lang="zh")
    room.add("डॉक्टर हड़ताल पर गए", lang="hi")


def test_a_real_model_finds_by_meaning_what_shares_no_word(
    meaning_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "require_vllm", never)
    room = meaning_room
    room.follow(make_topic(query="医生罢工", candidate_limit=1))
    add_strike(room)
    found = room.run()
    assert found["recall"]["candidates"] == 1
    assert room.page() == [BY_MEANING]
    digest = room.value("SELECT digest FROM rerank.embedder")
    assert room.value("SELECT recall FROM rerank.run") == f"dense {digest[:12]}"


def test_control_words_find_the_other_one(room: Newsroom) -> None:
    room = room.tuned(fill_factor=1)
    room.follow(make_topic(query="医生罢工", candidate_limit=1))
    add_strike(room)
    run = room.until("recall")
    room.stage("recall", run)
    assert room.wanted(run) == {"医生推荐的家常食谱"}


def test_in_a_language_that_the_model_does_not_know_words_find_and_nothing_is_filled_again(
    meaning_room: Newsroom,
) -> None:
    room = meaning_room
    room.follow(make_topic(query="doctors", queries={"hi": "हड़ताल"}, candidate_limit=2))
    add_strike(room)
    embedded = room.run("first")["embed"]
    counts = {name: embedded[name] for name in ("documents", "embedded", "left", "other_language", "queries")}
    assert counts == {"documents": 5, "embedded": 4, "left": 0, "other_language": 1, "queries": 1}
    found_by = {
        row["article_id"]: row["recalled_by"] for row in room.pairs(room.open("first")) if row["work"]
    }
    assert found_by == {BY_MEANING: "dense", "डॉक्टर हड़ताल पर गए": "bm25"}
    room.add("Nurses join the doctors")
    second = room.run("second")
    assert (second["embed"]["had"], second["embed"]["other_language"]) == (4, 1)
    assert second["recall"]["candidates"] == 1  # the new article: the window is not searched again
    assert room.value("SELECT count(DISTINCT recall) FROM rerank.run") == 1


def test_control_a_model_that_is_taken_to_know_it_finds_it_by_its_vector(
    meaning_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy, "knows", lambda family, lang: True)
    room = meaning_room
    room.follow(make_topic(query="doctors", queries={"hi": "हड़ताल"}, candidate_limit=2))
    add_strike(room)
    assert room.run("first")["embed"]["other_language"] == 0
    found_by = {
        row["article_id"]: row["recalled_by"] for row in room.pairs(room.open("first")) if row["work"]
    }
    assert found_by["डॉक्टर हड़ताल पर गए"] == "dense"


def test_without_the_package_recall_is_by_words(
    meaning_room: Newsroom, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(numpy_embedder.importlib.util, "find_spec", lambda name: None)
    room = meaning_room
    room.follow("rain")
    room.add("rain in the north")
    assert "embed" not in room.run()
    assert "pip install 'news-rerank[meaning]'" in caplog.text
    assert room.page("rain") == ["rain in the north"]
