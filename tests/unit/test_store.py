"""An artifact is there whole or not at all, and nobody reads one that was altered."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from factories import NOON

from rerank_core import store as store_module
from rerank_core.errors import CorruptError, SettingsError, StoreUnavailable
from rerank_core.store import Store

TABLE = pa.table({"n": pa.array([1, 2, 3], pa.int64())})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path.as_uri())


def files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_what_is_written_is_read_back_and_its_digest_is_that_of_the_file(
    store: Store, tmp_path: Path
) -> None:
    artifact = store.write("news/a.parquet", TABLE)
    assert (artifact.path, artifact.rows) == ("news/a.parquet", 3)
    assert hashlib.sha256((tmp_path / "news/a.parquet").read_bytes()).hexdigest() == artifact.sha256
    assert store.read(artifact.path, schema=TABLE.schema, sha256=artifact.sha256).equals(TABLE)
    assert files(tmp_path) == ["news/a.parquet"]


def test_an_empty_table_keeps_its_columns(store: Store) -> None:
    empty = TABLE.schema.empty_table()
    assert store.read(store.write("empty", empty).path, schema=TABLE.schema).equals(empty)


@pytest.mark.parametrize("name", ["with space", "per%20cent", "中文", "a+b#c"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for url in (folder.as_uri(), str(folder)):
        store = Store(url)
        store.write("a", TABLE)
        assert store.full_path("a") == str(folder / "a")
        assert Path(store.full_path("a")).is_file()


class Killed(BaseException):
    """The process ends here."""


def dies(*_: Any) -> None:
    raise Killed


def test_a_write_that_is_cut_off_leaves_no_file_under_the_name(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", dies)  # the bytes are out, the name is not
    with pytest.raises(Killed):
        store.write("a", TABLE)
    assert files(tmp_path) == []


def test_control_a_write_straight_to_the_name_leaves_a_file_when_it_is_cut_off(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def straight(target: Path, content: pa.Buffer) -> None:
        with target.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    monkeypatch.setattr(store_module, "_write_local", straight)
    monkeypatch.setattr(os, "fsync", dies)
    with pytest.raises(Killed):
        store.write("a", TABLE)
    assert files(tmp_path) == ["a"]


def test_an_altered_artifact_is_refused_with_both_digests(store: Store, tmp_path: Path) -> None:
    artifact = store.write("a", TABLE)
    content = bytearray((tmp_path / "a").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a").write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(CorruptError, match=f"a: expected sha256 {artifact.sha256}, found {found}"):
        store.read("a", schema=TABLE.schema, sha256=artifact.sha256)


def test_an_artifact_that_is_gone_says_what_may_be_the_matter(store: Store) -> None:
    with pytest.raises(CorruptError, match=r"gone is not in .*past retention, or the store is not shared"):
        store.read("gone", schema=TABLE.schema)


@pytest.mark.parametrize("keep", [0, 10, -8, -1])
def test_a_file_that_is_no_parquet_is_refused(store: Store, tmp_path: Path, keep: int) -> None:
    store.write("a", TABLE)
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:keep])
    with pytest.raises(CorruptError, match="a is not Parquet"):
        store.read("a", schema=TABLE.schema)


def test_a_damaged_footer_is_refused(store: Store, tmp_path: Path) -> None:
    store.write("a", TABLE)
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[:-40] + b"\xff" * 32 + content[-8:])
    with pytest.raises(CorruptError, match="a is not Parquet"):
        store.read("a", schema=TABLE.schema)


def test_another_schema_is_refused(store: Store) -> None:
    store.write("a", TABLE)
    with pytest.raises(CorruptError, match=r"expected columns \['m'\], found \['n'\]"):
        store.read("a", schema=pa.schema([("m", pa.int64())]))


def test_a_folder_that_cannot_be_written_is_unavailable_and_not_corrupt(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store((tmp_path / "file").as_uri())
    for work in (lambda: store.write("a/b", TABLE), store.check_writable):
        with pytest.raises(StoreUnavailable, match="check that the folder is writable"):
            work()


def test_check_writable_makes_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    Store((tmp_path / "new" / "store").as_uri()).check_writable()
    assert (tmp_path / "new" / "store").is_dir()
    assert files(tmp_path) == []


@pytest.mark.parametrize("url", ["ftp://host/x", "s4://bucket"])
def test_a_url_that_is_no_store_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError, match=r"RERANK_STORE_URL.*use file:///folder, s3:// or gs://"):
        Store(url)


def test_no_two_tries_and_no_two_pipelines_share_a_name(store: Store) -> None:
    names = [
        path
        for pipeline in ("news", "shadow")
        for run_id in (1, 2)
        for fence in (1, 2)
        for path in (
            store.members_path(pipeline=pipeline, run_id=run_id, fence=fence),
            store.pairs_path(pipeline=pipeline, run_id=run_id, fence=fence),
            store.light_path(pipeline=pipeline, run_id=run_id, fence=fence),
            store.ranking_path(pipeline=pipeline, run_id=run_id, as_of=NOON, version=1, fence=fence),
            store.ranking_path(pipeline=pipeline, run_id=run_id, as_of=NOON, version=2, fence=fence),
        )
    ]
    assert len(set(names)) == len(names)
    assert names[3] == "news/rankings/2026/03/01/120000-run1-v1-1.parquet"
