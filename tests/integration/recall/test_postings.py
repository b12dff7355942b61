"""The kept index of BM25: after any history, an hour's scores are those of a fresh count over its window, bit by bit."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from clean_ups import clean, pass_days
from factories import Newsroom, make_topic, statement_replaced

from rerank_core.operations import removal
from rerank_core.prepare.terms import terms
from rerank_core.recall import postings
from rerank_core.recall.bm25 import Bm25
from rerank_core.recall.window import Lexicon, Window, read_members
from rerank_core.records import Run, Topic
from rerank_core.storage import artifacts, topics
from rerank_core.storage.languages import comparable

WORDS = "solar wind tide storm rain power grid plant energy market price city".split()
SEGMENTS = "SELECT count(*) FROM rerank.term_segment"
HAS = "SELECT count(*) FROM rerank.term_segment WHERE :document_id = ANY(document_ids)"


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postings, "LEAST", 3)
    monkeypatch.setattr(postings, "MOST", 8)


def fresh_scores(room: Newsroom, window: Window, wanted: list[Topic]) -> dict[str, list[float]]:
    """Topic → the score of each member, by an index that is built of the members' terms now."""
    rows = dict(room.sql("SELECT document_id, terms FROM rerank.document"))
    index = Bm25([rows.get(document_id, "").split(" ") for document_id in window.document_ids.tolist()])
    scores = {}
    for topic in wanted:
        light = np.zeros(len(window), dtype=np.float32)
        for lang, here in window.languages.items():
            light[here] = index.scores(terms(topic.query_for(comparable(lang)), lang=lang))[here]
        scores[topic.slug] = light.tolist()
    return scores


def kept_scores(room: Newsroom, window: Window, wanted: list[Topic]) -> dict[str, list[float]]:
    """The same by the index that is kept."""
    with room.database.transaction(read_only=True) as connection:
        lexicon = Lexicon(connection, wanted, window)
        return {topic.slug: lexicon.light(topic)[window.everything].tolist() for topic in wanted}


def check(room: Newsroom, run: Run) -> None:
    """The frozen pairs have the scores of a fresh count, and so has every other member of the window."""
    with room.database.transaction(read_only=True) as connection:
        wanted = list(topics.current_topics(connection, run.pipeline))
    window = Window(artifacts.read_members(room.resources.store, run))
    fresh = fresh_scores(room, window, wanted)
    assert kept_scores(room, window, wanted) == fresh
    place = {document_id: number for number, document_id in enumerate(window.document_ids.tolist())}
    for pair in artifacts.read_pairs(room.resources.store, run).to_pylist():
        assert pair["light_score"] == fresh[pair["topic"]][place[pair["document_id"]]]


class History:
    """A newsroom to which anything may happen."""

    def __init__(self, room: Newsroom, seed: int) -> None:
        self.rooms = [room, room.tuned(pipeline="shadow", freshness_hours=5)]
        self.draw = random.Random(seed)
        self.hours = 0
        self.articles: list[str] = []
        for each in self.rooms:
            each.follow(
                make_topic(slug="solar", query="solar power", candidate_limit=3),
                make_topic(
                    slug="storm", query="storm of rain", queries={"de": "Sturm Wind"}, candidate_limit=3
                ),
            )

    @property
    def room(self) -> Newsroom:
        return self.draw.choice(self.rooms)

    def news(self) -> None:
        """Articles of the last hours; one repeats the text of another, one is short."""
        for _ in range(self.draw.randint(1, 9)):
            title = " ".join(self.draw.choices(WORDS, k=self.draw.choice((1, 4, 30))))
            name = f"{title[:20]} {len(self.articles)}"
            self.rooms[0].add(
                name,
                title=title,
                lang=self.draw.choice(("en", "de")),
                ingested_at=self.rooms[0].ago(hours=self.draw.uniform(0.1, 9)),
            )
            self.articles.append(name)

    def hour(self) -> None:
        """A run whose candidates are frozen; some runs go on to their page."""
        room = self.room
        self.hours += 1
        run = room.until("rerank", f"hour-{self.hours}")
        check(room, run)
        room.stage("recall", run)  # a later try finds what is frozen
        if self.draw.random() < 0.5:
            room.rest(run)

    def backfill(self) -> None:
        """A run of an older window reads documents that have left the newest."""
        room = self.room.tuned(freshness_hours=self.draw.choice((1, 5, 30)))
        self.hours += 1
        check(room, room.until("rerank", f"hour-{self.hours}", as_claimed_now=True))

    def edit(self) -> None:
        if self.articles:
            self.rooms[0].edit(self.draw.choice(self.articles), title=" ".join(self.draw.choices(WORDS, k=5)))

    def topic(self) -> None:
        """A topic with a word that no topic had."""
        self.room.follow(
            make_topic(slug="solar", query=" ".join(self.draw.choices(WORDS, k=3)), candidate_limit=3)
        )

    def forget(self) -> None:
        if self.articles:
            room, article_id = self.rooms[0], self.articles.pop(self.draw.randrange(len(self.articles)))
            removal.forget(
                database=room.database,
                store=room.resources.store,
                settings=room.settings,
                article_id=article_id,
                reason="test",
            )

    def clean_up(self) -> None:
        clean(self.room)

    def time_passes(self) -> None:
        pass_days(self.rooms[0], self.draw.choice((0.1, 1.0)))

    def side_by_side(self) -> None:
        """Two runs have stored the same documents at once."""
        self.rooms[0].sql(
            "INSERT INTO rerank.term_segment (first_document_id, last_document_id, document_ids, lengths, postings)"
            " SELECT first_document_id, last_document_id, document_ids, lengths, postings FROM rerank.term_segment"
            " ORDER BY segment_id DESC LIMIT 1"
        )

    def killed(self) -> None:
        """A try that ends when it has stored some segments, or none."""
        room, left = self.room, self.draw.randint(0, 1)
        add = postings.db.execute

        def fails(connection: Any, name: str, **values: Any) -> int:
            nonlocal left
            if name == "postings.add":
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
            return add(connection, name, **values)

        self.hours += 1
        run = room.until("recall", f"hour-{self.hours}")
        with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(postings.db, "execute", fails)
            room.stage("recall", run)
        room.stage("recall", run)
        check(room, room.again(run))

    def go(self, steps: int) -> None:
        """So many steps, each of them drawn."""
        usual, rare = [self.news, self.hour], [
            self.backfill, self.edit, self.topic, self.forget, self.clean_up, self.time_passes, self.side_by_side, self.killed,
        ]  # fmt: skip
        self.news()
        for _ in range(steps):
            self.draw.choice(usual if self.draw.random() < 0.5 else rare)()
        self.news()
        self.hour()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_any_history_scores_are_those_of_a_fresh_count(room: Newsroom, seed: int) -> None:
    History(room, seed).go(25)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4, 24))
def test_after_any_longer_history_too(room: Newsroom, seed: int) -> None:
    History(room, seed).go(60)


def _counts_documents_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = postings._plan

    def twice(connection: Any, document_ids: Any) -> Iterator[Any]:
        for segment_id, positions, theirs in plan(connection, document_ids):
            yield segment_id, positions, theirs
            yield segment_id, positions, theirs

    monkeypatch.setattr(postings, "_plan", twice)


def _counts_what_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    make = postings._Part.__init__

    def with_all(self: Any, segment: Any, vocabulary: Any, positions: Any) -> None:
        make(self, segment, vocabulary, positions)
        self.length = int(segment.lengths.sum(dtype=np.int64))

    monkeypatch.setattr(postings._Part, "__init__", with_all)


def _loses_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    statement_replaced(
        monkeypatch,
        "postings.terms",
        "SELECT document_id, terms FROM rerank.document WHERE :document_ids IS NULL",
    )


@pytest.mark.parametrize("broken", [_counts_documents_twice, _counts_what_has_left, _loses_the_rest])
def test_the_control_an_index_that_counts_wrongly_is_seen(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None]
) -> None:
    history = History(room, 1)
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        history.go(25)


def test_an_hour_reads_the_terms_of_what_is_new_and_stores_them_once(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.follow("solar")
    room.add(*(f"solar {number}" for number in range(8)), ingested_at=room.ago(hours=2))
    room.stage("recall", room.until("recall", "first"))
    room.add(*(f"wind {number}" for number in range(5)))
    asked: list[int] = []
    rows = postings.db.rows

    def seen(connection: Any, name: str, *given: Any, **values: Any) -> Any:
        if name in ("postings.terms", "postings.hold_terms"):
            asked.extend(values["document_ids"])
        return rows(connection, name, *given, **values)

    monkeypatch.setattr(postings.db, "rows", seen)
    run = room.until("rerank", "second")
    assert len(asked) == len(set(asked)) == 5
    assert room.value(SEGMENTS) == 2
    check(room, run)


def test_what_is_forgotten_is_gone_from_the_index_in_the_same_transaction(room: Newsroom) -> None:
    room.follow("solar")
    room.add("secret solar", "solar 1", "solar 2", "solar 3")
    run = room.until("rerank")
    document_id = room.value("SELECT document_id FROM rerank.document WHERE text = 'secret solar'")
    assert room.value(HAS, document_id=document_id) == 1
    removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id="secret solar",
        reason="test",
    )
    assert room.value(HAS, document_id=document_id) == 0
    again = room.until("rerank", "later")
    assert room.value(HAS, document_id=document_id) == 0
    check(room, again)
    assert run.frozen


def test_the_control_without_the_trigger_a_forgotten_text_keeps_its_terms(room: Newsroom) -> None:
    with room.database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE rerank.document DISABLE TRIGGER segments_go_with_documents")
    try:
        with pytest.raises(AssertionError):
            test_what_is_forgotten_is_gone_from_the_index_in_the_same_transaction(room)
    finally:
        with room.database.transaction() as connection:
            connection.exec_driver_sql(
                "ALTER TABLE rerank.document ENABLE TRIGGER segments_go_with_documents"
            )


def test_the_terms_of_a_document_are_never_changed(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar")
    room.until("recall")
    with pytest.raises(Exception, match="never changed"):
        room.sql("UPDATE rerank.document SET terms = 'wind'")


def test_a_clean_up_removes_a_segment_that_no_run_has_read_for_a_while(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2", "solar 3")
    room.until("rerank")
    assert clean(room).segments_deleted == 0
    room.sql("UPDATE rerank.term_segment SET used_at = now() - interval '8 days'")
    assert clean(room, dry_run=True).segments_deleted == 1
    assert clean(room).segments_deleted == 1
    assert room.value(SEGMENTS) == 0
    room.sql("UPDATE rerank.term_segment SET used_at = now() - interval '8 days'")
    check(room, room.until("rerank", "later"))
    assert room.value(SEGMENTS) == 1


def test_a_segment_that_runs_read_is_noted_as_used(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2", "solar 3")
    room.until("rerank")
    room.sql("UPDATE rerank.term_segment SET used_at = now() - interval '3 days'")
    room.until("rerank", "later")
    assert room.value("SELECT now() - used_at < interval '1 hour' FROM rerank.term_segment")


def test_a_preview_stores_no_segment(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2", "solar 3")
    run = room.until("recall")
    with room.database.transaction(read_only=True) as connection:
        window = Window(read_members(connection, run))
        Lexicon(connection, list(topics.current_topics(connection, "news")), window)
    assert room.value(SEGMENTS) == 0
