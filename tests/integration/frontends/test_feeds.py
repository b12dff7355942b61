"""The feeds follow the page as the topic files do: of one publication, whole, and repaired and removed with them."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from factories import Newsroom, make_topic

from rerank_core.errors import StoreUnavailable
from rerank_core.frontends import feeds, json_pages
from rerank_core.operations import maintain, removal
from rerank_core.storage.store import Store

ATOM, OURS = "{http://www.w3.org/2005/Atom}", f"{{{feeds.NAMESPACE}}}"


def root(room: Newsroom) -> Path:
    return Path(room.resources.store.full_path(""))


def latest(room: Newsroom) -> Any:
    return json.loads((root(room) / "news/latest.json").read_bytes())


def read(room: Newsroom, topic: str = "solar") -> dict[str, Any]:
    """Of the topic file and of each feed that latest.json names: the publication, and its articles in order."""
    entry = latest(room)["topics"][topic]
    page = json.loads((root(room) / entry["page"]).read_bytes())
    found = {"page": (page["publication_id"], [row["article_id"] for row in page["articles"]])}
    if entry["json_feed"]:
        feed = json.loads((root(room) / entry["json_feed"]).read_bytes())
        items = [item["_rerank"]["article_id"] for item in feed["items"]]
        found["json_feed"] = (feed["_rerank"]["publication_id"], items)
    if entry["atom"]:
        tree = ElementTree.fromstring((root(room) / entry["atom"]).read_bytes())
        ids = [element.text for element in tree.iter(f"{OURS}article_id")]
        found["atom"] = (int(tree.findtext(f"{OURS}publication_id") or 0), ids)
    return found


def repair(room: Newsroom, **options: Any) -> json_pages.Repaired:
    return json_pages.repair(
        database=room.database, store=room.resources.store, settings=room.settings, **options
    )


@pytest.fixture
def news(room: Newsroom) -> Newsroom:
    """A page of three articles and an empty topic, one article without a link and one with a hostile title."""
    room.follow("solar", make_topic(slug="french", query="solar", languages=("fr",)))
    room.add("solar power", url="http://x.example/?a=1&b=2", source="desk \x0b& co")
    room.add("solar", title="solar ]]&gt; <i>&lt;script&gt;</i> 太阳")
    room.add("solar wind")
    room.run("first")
    return room


def test_feeds_and_topic_file_show_one_publication_in_the_order_of_the_ranking(news: Newsroom) -> None:
    news.add("solar late")
    news.engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 0}  # the second block is in them, too
    published = news.run("degraded")["publish"]
    due = (published["publication_id"], news.page())
    assert read(news) == {"page": due, "json_feed": due, "atom": due}
    assert {row.ranked_by for row in news.ranking()} == {"model", "bm25"}
    assert read(news, "french")["atom"] == (due[0], [])


@pytest.mark.parametrize("formats", [(), ("atom",), ("json",)])
def test_the_settings_say_which_feeds_there_are_and_a_repair_brings_or_takes_them(
    news: Newsroom, formats: tuple[str, ...]
) -> None:
    fewer = news.tuned(feeds=formats)
    assert repair(fewer).replaced
    entry = latest(news)["topics"]["solar"]
    assert (entry["json_feed"] is not None, entry["atom"] is not None) == (
        "json" in formats,
        "atom" in formats,
    )
    files = {file.name for file in (root(news) / latest(news)["pages"]).iterdir()}
    assert len(files) == 2 * (1 + len(formats))
    assert not repair(fewer).replaced  # all is right now
    assert repair(news).replaced
    assert set(read(news)) == {"page", "json_feed", "atom"}


def test_a_block_and_a_forgetting_reach_the_feeds_at_once(news: Newsroom) -> None:
    where: dict[str, Any] = {
        "database": news.database,
        "store": news.resources.store,
        "settings": news.settings,
    }
    removal.block(article_id="solar wind", reason="r", **where)
    assert {tuple(ids) for _, ids in read(news).values()} == {tuple(news.page())}
    assert "solar wind" not in news.page()
    removal.forget(article_id="solar power", reason="r", **where)
    assert {tuple(ids) for _, ids in read(news).values()} == {("solar",)}
    assert len({publication for publication, _ in read(news).values()}) == 1


def test_files_of_the_page_before_go_with_its_folder_feeds_included(news: Newsroom) -> None:
    before = {root(news) / path for path in json_pages.paths(latest(news))}
    assert len(before) == 6
    news.add("solar 2")
    news.run("second")
    assert all(file.exists() for file in before)
    news.sql("UPDATE rerank.store_removal SET due_at = now()")
    counts = maintain.maintain(
        database=news.database, store=news.resources.store, settings=news.settings, dry_run=False
    )
    assert not any(file.exists() for file in before)
    assert counts.files_foreign == 0
    assert all((root(news) / path).exists() for path in json_pages.paths(latest(news)))


def test_a_clean_up_writes_a_feed_again_that_somebody_has_taken_away(news: Newsroom) -> None:
    (root(news) / latest(news)["topics"]["french"]["atom"]).unlink()
    counts = maintain.maintain(
        database=news.database, store=news.resources.store, settings=news.settings, dry_run=False
    )
    assert counts.repaired == 1
    assert set(read(news, "french")) == {"page", "json_feed", "atom"}


class TestReaders:
    """Whoever follows latest.json finds feed and topic file of one publication, whatever is written meanwhile."""

    def watch(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Read everything after each file that is written; returns what was found wrong."""
        write, wrong = Store.write_json, []

        def write_and_read(store: Store, path: str, content: bytes) -> None:
            write(store, path, content)
            try:
                found = read(room)
            except (FileNotFoundError, ElementTree.ParseError) as error:
                wrong.append(type(error).__name__)
                return
            if len(set(map(repr, found.values()))) > 1:
                wrong.append("mixed")

        monkeypatch.setattr(json_pages, "WRITERS", 1)
        monkeypatch.setattr(Store, "write_json", write_and_read)
        return wrong

    def publish(self, room: Newsroom) -> None:
        for title in ("solar 2", "solar 3"):
            room.add(title)
            room.run(title)

    def test_no_feed_is_of_another_page(self, news: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
        wrong = self.watch(news, monkeypatch)
        self.publish(news)
        assert wrong == []

    def test_control_feeds_at_one_address_are_mixed(
        self, news: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = self.watch(news, monkeypatch)
        monkeypatch.setattr(Store, "pages_folder", lambda *_, pipeline, **__: f"{pipeline}/pages/1-aa/")
        repair(news, rewrite=True)
        self.publish(news)
        assert "mixed" in wrong


def test_a_store_that_takes_no_feed_leaves_the_page_before_whole(
    news: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, write = read(news), Store.write_json

    def refused(store: Store, path: str, content: bytes) -> None:
        if path.endswith(".xml"):
            raise StoreUnavailable("the store is full; try again")
        write(store, path, content)

    news.add("solar 2")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_json", refused)
        published = news.run("second")["publish"]
    assert (published["pages_failed"], published["is_current"]) == (2, True)
    assert read(news) == before
    assert repair(news).replaced
    assert read(news)["atom"] == (published["publication_id"], news.page())
