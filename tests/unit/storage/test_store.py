"""An artifact is there whole or not at all, and nobody reads one that was altered."""

import hashlib
import json
import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pytest
from factories import NOON

from rerank_core.errors import CorruptError, SettingsError, StoreUnavailable
from rerank_core.storage import local_files
from rerank_core.storage.store import Name, Store, StoredFile

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


def opened(folder: int, name: str) -> IO[bytes]:
    """A file in the folder of a handle, to be written in its place."""
    return os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=folder), "wb")


def test_control_a_write_straight_to_the_name_leaves_a_file_when_it_is_cut_off(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def straight(folder: int, name: str, content: pa.Buffer, **_: bool) -> None:
        with opened(folder, name) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    monkeypatch.setattr(local_files, "replace", straight)
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


def test_any_byte_that_is_damaged_is_refused_or_does_no_harm(store: Store, tmp_path: Path) -> None:
    # Names that are no UTF-8, numbers of 80 bits: Arrow has an error of its own for each.
    store.write("a", TABLE)
    content = (tmp_path / "a").read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        (tmp_path / "a").write_bytes(damaged)
        with suppress(CorruptError):
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
    assert re.fullmatch(r"news/rankings/2026/03/01/120000-run1-v1-1-[0-9a-f]{8}\.parquet", names[3])


def test_a_name_is_used_once_even_where_a_restored_database_counts_the_same_numbers_again(
    store: Store,
) -> None:
    numbers = {"pipeline": "news", "run_id": 1, "fence": 1}
    assert store.members_path(**numbers) != store.members_path(**numbers)
    ranking = {**numbers, "as_of": NOON, "version": 1}
    assert store.ranking_path(**ranking) != store.ranking_path(**ranking)
    page = {"pipeline": "news", "publication_id": 1}
    assert store.pages_folder(**page) != store.pages_folder(**page)


def test_a_name_with_a_number_that_no_run_has_is_none_of_a_store(store: Store) -> None:
    assert store.parse(f"news/runs/{'1' * 5_000}/members-3.parquet") is None


def test_every_name_says_what_it_is_of(store: Store) -> None:
    numbers: dict[str, Any] = {"pipeline": "news", "run_id": 12, "fence": 3}
    assert store.parse(store.members_path(**numbers)) == Name("members", 12, 3)
    assert store.parse(store.pairs_path(**numbers)) == Name("pairs", 12, 3)
    assert store.parse(store.light_path(**numbers)) == Name("light", 12, 3)
    assert store.parse(store.ranking_path(as_of=NOON, version=4, **numbers)) == Name("ranking", 12, 3)
    folder = store.pages_folder(pipeline="news", publication_id=5)
    assert store.parse(f"{folder}solar.json") == Name("page", folder=folder)
    assert store.parse(store.latest_path("news")) == Name("latest")
    # as they were named before names had a token
    assert store.parse("news/runs/12/pairs-3.parquet") == Name("pairs", 12, 3)
    assert store.parse("news/rankings/2026/03/01/120000-run1-v1-2.parquet") == Name("ranking", 1, 2)


@pytest.mark.parametrize(
    "path",
    [
        "latest.json",
        "news/readme.txt",
        "news/latest.json.bak",
        "news/runs/12/members-3.csv",
        "news/runs/x/members-3.parquet",
        "news/rankings/2026/03/01/mine.parquet",
        "news/pages/solar.json",
        "news/pages/5-ab/deep/solar.json",
        "news/.hidden",
    ],
)
def test_a_file_of_somebody_else_is_told_from_ours(path: str) -> None:
    assert Store.parse(path) is None


def test_a_listing_has_every_file_below_a_folder_with_its_size(store: Store, tmp_path: Path) -> None:
    store.write_json("news/pages/1-ab/solar.json", b"{}")
    store.write_json("news/latest.json", b"[1]")
    store.write_json("other/latest.json", b"[1]")
    found = store.files("news/")
    assert [(file.path, file.bytes) for file in found] == [
        ("news/latest.json", 3),
        ("news/pages/1-ab/solar.json", 2),
    ]
    modified = (tmp_path / "news/latest.json").stat().st_mtime
    assert abs(found[0].modified.timestamp() - modified) < 0.001
    assert store.files("none/") == []
    assert isinstance(found[0], StoredFile)


def test_a_file_that_is_removed_takes_the_folders_that_it_leaves_empty_and_no_other(
    store: Store, tmp_path: Path
) -> None:
    for path in ("news/a/b/one.json", "news/a/two.json"):
        store.write_json(path, b"{}")
    assert store.remove("news/a/b/one.json")
    assert not (tmp_path / "news/a/b").exists()
    assert files(tmp_path) == ["news/a/two.json"]
    assert not store.remove("news/a/b/one.json")
    assert store.remove("news/a/two.json")
    assert tmp_path.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_removed_with_its_files_and_leaves_its_neighbours(store: Store, tmp_path: Path) -> None:
    for path in ("news/pages/1-a/x.json", "news/pages/1-a/y.json", "news/pages/1-ab/x.json"):
        store.write_json(path, b"{}")
    store.remove_folder("news/pages/1-a/", ["news/pages/1-a/x.json"])
    assert files(tmp_path) == ["news/pages/1-a/y.json", "news/pages/1-ab/x.json"]
    for _ in range(2):  # the second time all are gone
        store.remove_folder("news/pages/1-a/", ["news/pages/1-a/x.json", "news/pages/1-a/y.json"])
        assert files(tmp_path) == ["news/pages/1-ab/x.json"]
    assert not (tmp_path / "news/pages/1-a").exists()


def test_a_folder_that_a_clean_up_removes_just_before_the_write_is_made_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, removed = local_files.replace, []

    def removed_first(folder: int, name: str, content: pa.Buffer, **options: bool) -> None:
        if not removed:
            removed.append(name)
            (tmp_path / "pages").rmdir()
        replace(folder, name, content, **options)

    monkeypatch.setattr(local_files, "replace", removed_first)
    store.write_json("pages/a.json", b"{}")
    assert removed == ["a.json"]
    assert files(tmp_path) == ["pages/a.json"]


def test_what_a_killed_write_leaves_is_known_as_a_draft(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(files(tmp_path)))
    store.write_json("news/latest.json", b"{}")
    assert store.parse(seen[0]) == Name("draft")
    assert seen[0] != "news/latest.json"


@pytest.fixture
def flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is flushed of the store, in order."""
    found: list[str] = []

    def noted(number: int) -> None:
        path = Path(f"/proc/self/fd/{number}").resolve().relative_to(tmp_path)
        found.append("draft" if path.suffix == ".tmp" else str(path))

    monkeypatch.setattr(os, "fsync", noted)
    return found


def test_a_file_and_every_new_folder_above_it_are_flushed_before_it_counts_as_written(
    store: Store, flushed: list[str]
) -> None:
    store.write("news/rankings/2026/a.parquet", TABLE)
    assert flushed == [".", "news", "news/rankings", "draft", "news/rankings/2026"]
    flushed.clear()
    store.write("news/rankings/2026/b.parquet", TABLE)
    assert flushed == ["draft", "news/rankings/2026"]


def test_the_names_of_a_folder_are_flushed_together_once_all_its_files_are_written(
    store: Store, flushed: list[str]
) -> None:
    with store.flushing_once("news/pages/1-a/"):
        store.write_json("news/pages/1-a/x.json", b"{}")
        store.write_json("news/pages/1-a/y.json", b"{}")
        store.write_json("news/latest.json", b"{}")  # of another folder
    made = [".", "news", "news/pages"]
    assert flushed == [*made, "draft", "draft", "draft", "news", "news/pages/1-a"]
    flushed.clear()
    with pytest.raises(ValueError, match="full"), store.flushing_once("news/pages/1-a/"):
        store.write_json("news/pages/1-a/x.json", b"{}")
        raise ValueError("full")
    assert flushed == ["draft"]
    store.write_json("news/pages/1-a/x.json", b"{}")
    assert flushed == ["draft", "draft", "news/pages/1-a"]


@pytest.mark.parametrize("flags", [[[True, False], [False], [True]], [[False]], [[]], [[], [True]]])
def test_rows_with_a_flag_are_found_in_whatever_row_group_they_are(
    store: Store, flags: list[list[bool]]
) -> None:
    first, *more = (
        pa.table({"flag": pa.array(part, pa.bool_()), "at": pa.array(range(len(part)), pa.int64())})
        for part in flags
    )
    artifact = store.write("a", first, more)
    found, others = store.read_where("a", "flag", schema=first.schema, sha256=artifact.sha256)
    assert found.column("at").to_pylist() == [at for part in flags for at, flag in enumerate(part) if flag]
    assert artifact.rows == found.num_rows + others == sum(map(len, flags))


def torn_reads(store: Store, rewrites: int = 300) -> int:
    """How many reads found less than one whole version, while a writer replaced a file so many times."""
    content = [json.dumps([number] * 20_000).encode() for number in range(2)]
    store.write_json("latest.json", content[0])
    done, torn = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            found = store.read_json("latest.json")
            if found not in content:
                torn.append(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(rewrites):
        store.write_json("latest.json", content[number % 2])
        if torn:
            break
    done.set()
    for reader in readers:
        reader.join()
    return len(torn)


def test_readers_of_a_file_that_is_replaced_see_one_version_or_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # 600 of them take a slow disk long
    assert torn_reads(store) == 0


def test_control_readers_of_a_file_that_is_written_in_place_see_half_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_place(folder: int, name: str, content: pa.Buffer, **_: bool) -> None:
        with opened(folder, name) as stream:
            for start in range(0, content.size, 4096):
                stream.write(content.slice(start, min(4096, content.size - start)))
                stream.flush()

    monkeypatch.setattr(local_files, "replace", in_place)
    assert torn_reads(store) > 0


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hunter2@bucket/folder?nonsense=1",
        "s3://key:hunter/2@bucket/folder",
        "s4://key:hunter2@bucket",
        "s3://bucket/folder?secret_key=hunter2",
    ],
)
def test_a_wrong_url_is_refused_without_showing_its_secret(url: str) -> None:
    with pytest.raises(SettingsError, match=r"RERANK_STORE_URL = '\(hidden\)'") as caught:
        Store(url)
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_no_path_and_no_repr_shows_credentials() -> None:
    store = Store("s3://key:hunter2@bucket/folder/?endpoint_override=127.0.0.1:1&scheme=http")
    assert store.has_credentials
    assert repr(store) == "Store(s3://bucket/folder)"
    assert store.full_path("news/a.parquet") == "s3://bucket/folder/news/a.parquet"
    assert not Store("s3://bucket/a@b?endpoint_override=127.0.0.1:1&scheme=http").has_credentials


# What must not be taken for a path of the store, by any layer.
HOSTILE = [
    "/etc/passwd",
    "//etc/passwd",
    "..",
    ".",
    "../x",
    "news/..",
    "news/../../x/",
    "news/./x",
    "news//x",
    "news/x//",
    "news\\..\\x",
    "news/%2e%2e/x",
    "news/..%2fx",
    "news/\0x",
    "news/x\n",
    "news/ x",
    "news/．．/x",
    "~/x",
    "news/" + "x" * 300,
    "/".join(["x"] * 600),
]


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: repr(path)[:20])
def test_no_method_takes_a_path_that_may_lead_out_of_the_store(tmp_path: Path, path: str) -> None:
    (tmp_path / "store/news").mkdir(parents=True)
    (tmp_path / "x").mkdir()
    (tmp_path / "x/kept").touch()
    store = Store((tmp_path / "store").as_uri())
    for method in (
        lambda: store.write(path, TABLE),
        lambda: store.write_json(path, b"{}"),
        lambda: store.read(path, schema=TABLE.schema),
        lambda: store.verify(path, sha256=""),
        lambda: store.read_json(path),
        lambda: store.open_file(path),
        lambda: store.files(path),
        lambda: store.full_path(path),
        lambda: store.remove(path),
        lambda: store.remove_folder(path, [path]),
        lambda: store.remove_folder("news/", [path]),
    ):
        with pytest.raises(CorruptError, match="is no path of a store"):
            method()
    assert Store.parse(path) is None
    assert files(tmp_path) == ["x/kept"]


def test_control_a_path_that_is_only_joined_leads_out_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store/news").mkdir(parents=True)
    (tmp_path / "x").touch()
    monkeypatch.setattr(Store, "_below", staticmethod(lambda root, path: f"{root}/{path}"))
    assert Store((tmp_path / "store").as_uri()).remove("news/../../x")
    assert not (tmp_path / "x").exists()


class TestLinks:
    """A symbolic link below the store's folder leads neither a write, nor a listing, nor a removal out of it."""

    @pytest.fixture
    def linked(self, tmp_path: Path) -> Store:
        """A store whose folder `news/pages` is a link to one outside."""
        (tmp_path / "outside/7-ab").mkdir(parents=True)
        (tmp_path / "outside/7-ab/solar.json").write_text("{}")
        (tmp_path / "store/news").mkdir(parents=True)
        (tmp_path / "store/news/pages").symlink_to(tmp_path / "outside")
        (tmp_path / "store/news/latest.json").symlink_to(tmp_path / "outside/7-ab/solar.json")
        return Store((tmp_path / "store").as_uri())

    def test_it_is_listed_and_not_followed(self, linked: Store) -> None:
        found = [(file.path, file.is_link) for file in linked.files("news/")]
        assert found == [("news/latest.json", True), ("news/pages", True)]

    @pytest.mark.parametrize(
        "method",
        [
            lambda store: store.files("news/pages/7-ab/"),
            lambda store: store.remove("news/pages/7-ab/solar.json"),
            lambda store: store.remove_folder("news/pages/7-ab/", ["news/pages/7-ab/solar.json"]),
            lambda store: store.write_json("news/pages/7-ab/wind.json", b"{}"),
            lambda store: store.write_json("news/pages/8-ab/wind.json", b"{}"),
        ],
    )
    def test_nothing_is_done_behind_it(self, linked: Store, tmp_path: Path, method: Any) -> None:
        with pytest.raises(SettingsError, match="news/pages is a symbolic link"):
            method(linked)
        assert files(tmp_path / "outside") == ["7-ab/solar.json"]

    @pytest.mark.parametrize(
        ("method", "left"),
        [
            (lambda store: store.remove("news/pages/7-ab/solar.json"), []),
            (
                lambda store: store.write_json("news/pages/7-ab/wind.json", b"{}"),
                ["solar.json", "wind.json"],
            ),
        ],
    )
    def test_a_link_that_comes_in_between_is_not_followed_either(
        self, method: Any, left: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever can write into the store swaps a folder for a link after it was looked at."""
        store = Store((tmp_path / "store").as_uri())
        for folder in ("store/news/pages/7-ab", "outside"):
            (tmp_path / folder).mkdir(parents=True)
            (tmp_path / folder / "solar.json").write_text("{}")
        opened = os.open

        def swapping(name: Any, *rest: Any, **options: Any) -> int:
            handle = opened(name, *rest, **options)
            if name == "7-ab":
                (tmp_path / "store/news/pages/7-ab").rename(tmp_path / "away")
                (tmp_path / "store/news/pages/7-ab").symlink_to(tmp_path / "outside")
            return handle

        monkeypatch.setattr(os, "open", swapping)
        method(store)
        assert files(tmp_path / "outside") == ["solar.json"]
        assert files(tmp_path / "away") == left

    def test_a_file_that_is_replaced_is_not_written_through_a_link(
        self, linked: Store, tmp_path: Path
    ) -> None:
        linked.write_json("news/latest.json", b"[]")
        assert (tmp_path / "outside/7-ab/solar.json").read_text() == "{}"
        assert not (tmp_path / "store/news/latest.json").is_symlink()

    def test_the_stores_own_folder_may_be_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "store").symlink_to(tmp_path / "disk")
        store = Store((tmp_path / "store").as_uri())
        store.write_json("news/a/b.json", b"{}")
        assert [file.path for file in store.files("")] == ["news/a/b.json"]
        assert store.remove("news/a/b.json")
        assert list((tmp_path / "disk").iterdir()) == []
