"""The JSON files show what frontends see, follow the pointer, and never go back or stand half-written."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import Newsroom, make_topic

from rerank_core.errors import StoreUnavailable
from rerank_core.frontends import json_pages, json_text
from rerank_core.storage.store import Store


def strict(content: bytes) -> Any:
    """JSON and nothing but: NaN and infinities are none."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(content, parse_constant=refuse)


def read(room: Newsroom, path: str) -> Any:
    return strict((root(room) / path).read_bytes())


def root(room: Newsroom) -> Path:
    return Path(room.resources.store.full_path(""))


def latest(room: Newsroom) -> Any:
    return read(room, "news/latest.json")


def articles(room: Newsroom, topic: str = "solar") -> list[str]:
    """Article ids as a reader without SQL finds them."""
    page = read(room, latest(room)["topics"][topic]["page"])
    return [article["article_id"] for article in page["articles"]]


def repair(room: Newsroom, **options: Any) -> json_pages.Repaired:
    return json_pages.repair(
        database=room.database, store=room.resources.store, settings=room.settings, **options
    )


def news(room: Newsroom) -> None:
    room.follow("solar", make_topic(slug="french", query="solar", languages=("fr",)))
    room.add("solar power", url="http://x.example/1", source="desk", published_at=room.ago(hours=5))
    room.add("solar", title='太阳 "solar"', lang="zh")
    room.add("wind", body="solar " * 40)


def test_latest_json_names_the_publication_its_file_and_a_page_for_each_topic(room: Newsroom) -> None:
    news(room)
    published = room.run()["publish"]
    assert (published["pages_written"], published["pages_failed"]) == (2, 0)
    found, standing = latest(room), room.standing()
    assert {
        name: found[name] for name in ("run_id", "version", "publication_id", "pipeline", "degraded")
    } == {
        "run_id": standing.run_id,
        "version": 1,
        "publication_id": published["publication_id"],
        "pipeline": "news",
        "degraded": False,
    }
    assert found["as_of"] == standing.as_of.isoformat()
    assert (found["parquet_path"], found["parquet_sha256"]) == (
        standing.parquet_path,
        standing.parquet_sha256,
    )
    assert {slug: (topic["state"], topic["ranked"]) for slug, topic in found["topics"].items()} == {
        "french": ("abstained", 0),
        "solar": ("full", 3),
    }


def test_a_topics_page_equals_the_view_row_for_row(room: Newsroom) -> None:
    news(room)
    room.engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 2}  # so that there are nulls, too
    room.run()
    found, view = read(room, latest(room)["topics"]["solar"]["page"]), room.ranking()
    assert [set(article) for article in found["articles"]] == [set(json_pages.ARTICLE)] * 3
    for article, row in zip(found["articles"], view, strict=True):
        for name in json_pages.ARTICLE:
            expected = getattr(row, name)
            is_time = name in {"published_at", "first_ingested_at", "began_at"} and expected is not None
            assert article[name] == (expected.isoformat() if is_time else expected), name
    assert {article["logit"] is None for article in found["articles"]} == {True, False}
    assert {article["url"] for article in found["articles"]} == {None, "http://x.example/1"}
    assert {tuple(article["flags"]) for article in found["articles"]} == {(), ("stuffed",)}
    standing = room.standing()
    assert found["counts"] == {name: getattr(standing, name) for name in json_pages.COUNTS}
    assert (found["topic"], found["state"], found["as_of"]) == (
        "solar",
        "degraded",
        standing.as_of.isoformat(),
    )


def test_no_title_can_end_a_script_element_that_a_page_is_put_into(room: Newsroom) -> None:
    news(room)
    room.run()
    room.sql("UPDATE rerank.ranking SET title = '太阳 </script>\u2028&' WHERE article_id = 'solar'")
    repair(room, rewrite=True)
    content = (root(room) / latest(room)["topics"]["solar"]["page"]).read_bytes()
    assert not any(sign.encode() in content for sign in "<>&\u2028")
    titles = [article["title"] for article in strict(content)["articles"]]
    assert "太阳 </script>\u2028&" in titles


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_has_no_form_for_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text.to_json({"logit": number})


def test_a_run_that_does_not_move_the_pointer_leaves_the_pages_alone(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar old", ingested_at=room.ago(hours=9))
    room.run("now")
    before = (root(room) / "news/latest.json").read_bytes()
    published = room.run("backfill", until=room.ago(hours=5))["publish"]
    assert not published["is_current"]
    assert "pages_written" not in published
    assert (root(room) / "news/latest.json").read_bytes() == before


def test_pages_of_two_publications_never_share_a_file(room: Newsroom) -> None:
    news(room)
    room.run("k")
    first = latest(room)
    content = {path: (root(room) / path).read_bytes() for path in json_pages.paths(first)}
    room.run("k")
    second = latest(room)
    assert set(json_pages.paths(first)).isdisjoint(json_pages.paths(second))
    assert second["version"] == 2
    assert {path: (root(room) / path).read_bytes() for path in json_pages.paths(first)} == content


def broken(*_: Any) -> None:
    raise StoreUnavailable("the store is away; try again")


def test_a_store_that_takes_no_pages_fails_no_run_and_is_counted(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    news(room)
    room.run()
    before = latest(room)
    room.add("solar 2")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_json", broken)
        published = room.run()["publish"]
    assert (published["pages_written"], published["pages_failed"]) == (0, 2)
    assert published["is_current"]
    assert "solar 2" in room.page()
    kept = "SELECT value FROM rerank.run_metric WHERE run_id = :r AND stage = 'publish' AND name = 'pages_failed'"
    assert room.value(kept, r=published["run_id"]) == 2
    assert latest(room) == before  # it lags, and says so by its as_of
    done = repair(room)
    assert (done.publication_id, done.written, done.replaced) == (published["publication_id"], 2, True)
    assert "solar 2" in articles(room)


def test_the_next_publication_repairs_what_one_could_not_write(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    news(room)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_json", broken)
        room.run()
    assert not (root(room) / "news/latest.json").exists()
    assert room.run()["publish"]["pages_failed"] == 0
    assert articles(room) == room.page()


def test_a_repair_of_what_is_right_writes_nothing(room: Newsroom) -> None:
    news(room)
    published = room.run()["publish"]
    assert repair(room) == json_pages.Repaired(published["publication_id"], 0, False)
    assert repair(room, rewrite=True).written == 2


def test_a_pipeline_without_a_page_has_no_files(room: Newsroom) -> None:
    assert repair(room) == json_pages.Repaired(None, 0, False)
    assert not root(room).joinpath("news").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1}', b"\xff"])
def test_a_latest_json_that_cannot_be_read_is_written_again(room: Newsroom, content: bytes) -> None:
    news(room)
    room.run()
    (root(room) / "news/latest.json").write_bytes(content)
    assert repair(room).replaced
    assert articles(room) == room.page()


def test_a_block_reaches_the_pages_with_the_next_repair(room: Newsroom) -> None:
    news(room)
    room.run()
    block = "INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'solar', 'r')"
    room.sql(block)
    assert "solar" in articles(room)
    assert repair(room).replaced
    assert "solar" not in articles(room)
    assert articles(room) == room.page()
    room.sql("DELETE FROM rerank.block")
    repair(room)
    assert "solar" in articles(room)


def test_flags_reach_the_pages_with_the_next_repair_and_what_no_page_shows_does_not(room: Newsroom) -> None:
    news(room)
    room.run()
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'elsewhere', 'r')")
    assert not repair(room).replaced
    room.sql("UPDATE rerank.document SET flags = '{stuffed}'")
    assert repair(room).replaced
    assert not repair(room).replaced


def test_a_rollback_reaches_the_pages_with_the_next_repair(room: Newsroom) -> None:
    news(room)
    first = room.run("first")["publish"]
    room.add("solar 2")
    room.run("second")
    room.sql("UPDATE rerank.pointer SET publication_id = :p, held = true", p=first["publication_id"])
    assert "solar 2" in articles(room)
    assert repair(room).publication_id == first["publication_id"]
    assert latest(room)["run_id"] == first["run_id"]
    assert "solar 2" not in articles(room)


def test_the_files_of_the_page_before_are_due_when_its_readers_are_done(room: Newsroom) -> None:
    news(room)
    room.run()
    before = latest(room)["pages"]
    assert room.sql("SELECT path FROM rerank.store_removal") == []
    room.add("solar 2")
    room.run()
    path, hours = room.sql(
        "SELECT path, extract(epoch FROM due_at - requested_at) / 3600 FROM rerank.store_removal"
    )[0]
    assert (path, hours) == (before, 24)


class TestOvertaken:
    """A writer that wakes up late does not put latest.json back to the page before."""

    def overtake(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch, where: str) -> Callable[[], int]:
        """Have a newer page come while the first one's topic files, or its latest.json, are being written.

        Returns what gives the newer publication's id.
        """
        news(room)
        write, newer = Store.write_json, []

        def write_late(store: Store, path: str, content: bytes) -> None:
            if not newer and path.endswith(where):
                newer.append(0)
                room.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND state = 'idle in transaction'"
                )  # as a session that idles too long in a transaction is ended
                room.add("solar 2")
                newer[0] = room.run("newer")["publish"]["publication_id"]
            write(store, path, content)

        monkeypatch.setattr(Store, "write_json", write_late)
        return lambda: newer[0]

    @pytest.mark.parametrize("where", ["solar.json", "latest.json"])
    def test_the_newer_page_stands(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        newer = self.overtake(room, monkeypatch, where)
        assert room.run("older")["publish"]["publication_id"] < newer()
        assert latest(room)["publication_id"] == newer()
        assert "solar 2" in articles(room)

    @pytest.mark.parametrize("where", ["solar.json", "latest.json"])
    def test_control_without_looking_again_the_older_one_does(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        newer = self.overtake(room, monkeypatch, where)
        monkeypatch.setattr(json_pages, "is_current", lambda found, _: found is not None)
        assert room.run("older")["publish"]["publication_id"] < newer()
        assert latest(room)["publication_id"] < newer()


class TestReaders:
    """Between any two writes a reader finds one whole page, or the one before."""

    def watch(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Read everything after each file that is written; returns what was found wrong."""
        write, wrong = Store.write_json, []

        def write_and_read(store: Store, path: str, content: bytes) -> None:
            write(store, path, content)
            found = store.read_json("news/latest.json")
            if found is None:
                return
            named = strict(found)
            for topic, entry in named["topics"].items():
                page = store.read_json(entry["page"])
                if page is None:
                    wrong.append(f"{topic} is not there")
                elif strict(page)["publication_id"] != named["publication_id"]:
                    wrong.append(f"{topic} is of another page")

        monkeypatch.setattr(json_pages, "WRITERS", 1)
        monkeypatch.setattr(Store, "write_json", write_and_read)
        return wrong

    def publish_twice(self, room: Newsroom) -> None:
        news(room)
        for title in ("solar 2", "solar 3"):
            room.add(title)
            room.run()

    def test_no_page_is_half_seen(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
        wrong = self.watch(room, monkeypatch)
        self.publish_twice(room)
        assert wrong == []

    def test_control_pages_that_are_written_in_place_are(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = self.watch(room, monkeypatch)
        monkeypatch.setattr(Store, "pages_folder", lambda *_, pipeline, **__: f"{pipeline}/pages/1-aa/")
        self.publish_twice(room)
        assert "solar is of another page" in wrong

    def test_control_a_pointer_that_comes_first_is(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = self.watch(room, monkeypatch)
        later: list[tuple[Any, ...]] = []
        write = json_pages._write
        monkeypatch.setattr(json_pages, "_write", lambda *arguments: later.append(arguments))
        replace = json_pages._replace

        def replace_first(*arguments: Any) -> bool:
            done = replace(*arguments)
            write(*later.pop())
            return done

        monkeypatch.setattr(json_pages, "_replace", replace_first)
        self.publish_twice(room)
        assert "solar is not there" in wrong


def test_pages_are_flushed_to_the_disk_before_latest_json_names_them(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    news(room)
    flush, flushed = os.fsync, []

    def noted(number: int) -> None:
        flush(number)
        flushed.append(Path(f"/proc/self/fd/{number}").resolve().name)

    monkeypatch.setattr(os, "fsync", noted)
    room.run()
    last = max(number for number, name in enumerate(flushed) if name.startswith(".latest.json"))
    pages_at = [number for number, name in enumerate(flushed) if name.startswith((".solar", ".french"))]
    assert len(pages_at) == 6  # each topic has two feeds
    folder = Path(latest(room)["pages"]).name
    (folder_at,) = (
        number for number, name in enumerate(flushed) if name == folder
    )  # once for all their names
    assert max(pages_at) < folder_at < last


def test_many_repairs_at_once_end_with_the_page(room: Newsroom) -> None:
    from concurrent.futures import ThreadPoolExecutor

    news(room)
    room.run()
    first = latest(room)["pages"]
    (root(room) / "news/latest.json").unlink()
    with ThreadPoolExecutor(4) as pool:
        done = [one.result() for one in [pool.submit(repair, room) for _ in range(4)]]
    assert {one.publication_id for one in done} == {latest(room)["publication_id"]}
    assert articles(room) == room.page()
    left = {row.path for row in room.sql("SELECT path FROM rerank.store_removal")}
    folders = {f"news/pages/{folder.name}/" for folder in (root(room) / "news/pages").iterdir()}
    assert folders - left == {first, latest(room)["pages"]}  # of the lost one, maintenance finds out
    assert room.sql("SELECT name FROM rerank.turn WHERE name = 'pages news' FOR UPDATE NOWAIT")
