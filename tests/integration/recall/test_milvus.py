"""Recall by vectors in Milvus: Milvus Lite keeps the contract of every store, and topics find by it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import Newsroom, make_topic
from vectors_contract import DIMENSIONS, VectorsContract, unit_vectors

from rerank_core.errors import SettingsError, StoreUnavailable
from rerank_core.models import embedders
from rerank_core.models.embedding import FakeEmbedder
from rerank_core.operations import maintain, removal
from rerank_core.recall.milvus import MilvusVectors

pytest.importorskip("pymilvus", reason="the extra `milvus` is not installed")
pytest.importorskip("milvus_lite", reason="the extra `milvus` is not installed")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "vectors.db")


class TestStore(VectorsContract):
    """Milvus Lite keeps the contract of every store."""

    @pytest.fixture
    def ids(self) -> Any:
        return np.arange(10, 3_010, dtype=np.int64)

    @pytest.fixture
    def vectors(self, url: str) -> Iterator[MilvusVectors]:
        with MilvusVectors(url, digest="ab" * 32, dimensions=DIMENSIONS) as found:
            yield found

    def test_what_was_kept_is_there_for_the_next_process(self, url: str, ids: Any) -> None:
        with MilvusVectors(url, digest="ab" * 32, dimensions=DIMENSIONS) as first:
            first.add(ids[:3], unit_vectors(3))
        with MilvusVectors(url, digest="ab" * 32, dimensions=DIMENSIONS) as second:
            assert second.missing(ids[:4]).tolist() == [ids[3]]

    def test_another_embedder_has_a_collection_of_its_own(self, url: str, ids: Any) -> None:
        with MilvusVectors(url, digest="ab" * 32, dimensions=DIMENSIONS) as first:
            first.add(ids[:3], unit_vectors(3))
        with MilvusVectors(url, digest="cd" * 32, dimensions=8) as second:
            assert second.missing(ids[:3]).tolist() == ids[:3].tolist()

    def test_a_server_that_fails_while_ids_are_read_is_left_with_no_open_cursor(
        self, vectors: MilvusVectors, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pymilvus import MilvusException

        class Cursor:
            closed = False

            def next(self) -> list[Any]:
                raise MilvusException(message="away")

            def close(self) -> None:
                self.closed = True

        cursor = Cursor()
        monkeypatch.setattr(vectors._client, "query_iterator", lambda *_, **__: cursor)
        with pytest.raises(StoreUnavailable, match="away"):
            vectors.ids()
        assert cursor.closed


def test_a_chinese_topic_finds_an_english_article(
    room: Newsroom, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEmbedder(synonyms={"太阳能": "solar"})
    monkeypatch.setattr(embedders, "identity", lambda settings: fake.identity)
    monkeypatch.setattr(embedders, "load", lambda settings: fake)
    room = room.tuned(recall="milvus", milvus_url=url, fill_factor=1)
    room.follow(make_topic(query="太阳能", candidate_limit=1))
    room.add("solar", "apples", "rain")
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'rerank' AND tablename LIKE 'vector%'"
    before = room.value(tables)
    assert room.run()["embed"]["embedded"] == 3
    assert room.page() == ["solar"]
    assert room.value(tables) == before
    assert room.run()["embed"]["had"] == 3


def test_where_milvus_does_not_answer_recall_is_by_words(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    fake = FakeEmbedder()
    monkeypatch.setattr(embedders, "identity", lambda settings: fake.identity)
    monkeypatch.setattr(embedders, "load", lambda settings: fake)
    room = room.tuned(recall="milvus", milvus_url=url)
    room.follow("solar")
    room.add("solar 1")
    room.run()

    def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("Milvus: away")

    monkeypatch.setattr(MilvusVectors, "__init__", away)
    room.add("solar 2")
    assert "embed" not in room.run()
    assert sorted(room.page()) == ["solar 1", "solar 2"]


def test_a_server_that_is_away_is_told_without_its_password() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        MilvusVectors("http://me:hunter2@127.0.0.1:1", digest="ab" * 32, dimensions=4)
    assert "hunter2" not in str(caught.value)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(SettingsError, match=r"pip install 'news-rerank\[milvus\]'"):
        MilvusVectors(url, digest="ab" * 32, dimensions=4)


def test_without_an_address_the_error_names_the_setting(room: Newsroom) -> None:
    from rerank_core.recall.strategy import KnownEmbedder, open_vectors

    with pytest.raises(SettingsError, match="RERANK_MILVUS_URL"):
        with open_vectors(
            room.tuned(recall="milvus").settings, room.database, KnownEmbedder(1, "ab", 4, "fake")
        ):
            pass


class TestTextsThatAreGone:
    """The clean-up takes the vectors of forgotten texts out of Milvus."""

    @pytest.fixture
    def forgotten(self, room: Newsroom, url: str, monkeypatch: pytest.MonkeyPatch) -> Newsroom:
        fake = FakeEmbedder()
        monkeypatch.setattr(embedders, "identity", lambda settings: fake.identity)
        monkeypatch.setattr(embedders, "load", lambda settings: fake)
        room = room.tuned(recall="milvus", milvus_url=url)
        room.follow("solar")
        room.add("solar 1", "solar 2", "solar 3")
        room.run()
        removal.forget(
            database=room.database,
            store=room.resources.store,
            settings=room.settings,
            article_id="solar 2",
            reason="asked for",
        )
        return room

    def kept(self, room: Newsroom) -> set[int]:
        (embedder,) = room.sql("SELECT digest, dimensions FROM rerank.embedder")
        with MilvusVectors(str(room.settings.milvus_url), **embedder._mapping) as vectors:
            return set(vectors.ids().tolist())

    def clean_up(self, room: Newsroom, *, dry_run: bool = False) -> tuple[int, int]:
        done = maintain.maintain(
            database=room.database, store=room.resources.store, settings=room.settings, dry_run=dry_run
        )
        return done.vectors_removed, done.vectors_failed

    def test_they_go_and_the_others_stay(self, forgotten: Newsroom) -> None:
        there = {row.document_id for row in forgotten.sql("SELECT document_id FROM rerank.document")}
        assert len(self.kept(forgotten)) == 3
        assert self.clean_up(forgotten, dry_run=True) == (1, 0)
        assert len(self.kept(forgotten)) == 3
        assert self.clean_up(forgotten) == (1, 0)
        assert self.kept(forgotten) == there
        assert len(there) == 2
        assert self.clean_up(forgotten) == (0, 0)

    def collections(self, room: Newsroom) -> dict[str, bool]:
        """Each collection, and whether it is loaded."""
        from pymilvus import MilvusClient

        client = MilvusClient(uri=str(room.settings.milvus_url))
        try:
            return {
                name: str(client.get_load_state(name)["state"]) == "Loaded"
                for name in client.list_collections()
            }
        finally:
            client.close()

    def retire(self, room: Newsroom) -> None:
        """A later run has embedded with another one, whose vectors are not in Milvus."""
        columns = (
            "family, weights_digest, prompt_digest, precision, max_document_tokens, dimensions, location"
        )
        room.sql(
            f"WITH made AS (INSERT INTO rerank.embedder (digest, {columns}) SELECT repeat('cd', 32), {columns}"
            " FROM rerank.embedder RETURNING embedder_id)"
            " UPDATE rerank.run SET embedder_id = made.embedder_id FROM made WHERE run_id = :run_id",
            run_id=room.until("recall", "later").run_id,
        )

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_no_collection_is_made_and_only_the_current_embedders_stays_loaded(
        self, forgotten: Newsroom, *, dry_run: bool
    ) -> None:
        (name,) = self.collections(forgotten)
        assert self.clean_up(forgotten, dry_run=dry_run) == (1, 0)
        assert self.collections(forgotten) == {name: True}
        self.retire(forgotten)
        assert self.clean_up(forgotten, dry_run=dry_run) == (int(dry_run), 0)
        assert self.collections(forgotten) == {name: False}

    def test_where_milvus_is_away_the_rest_is_cleaned_up_and_the_next_one_tries_again(
        self, forgotten: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("Milvus: away")

        with monkeypatch.context() as patch:
            patch.setattr(MilvusVectors, "__init__", away)
            assert self.clean_up(forgotten) == (0, 1)
        assert self.clean_up(forgotten) == (1, 0)
