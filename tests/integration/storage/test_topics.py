"""Topic versions: an edit adds one, nothing is overwritten, and two applies go one after the other."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rerank_core.records import Topic
from rerank_core.storage import topics
from rerank_core.storage.database import Database
from rerank_core.storage.topics import TopicPlan, current_topics


def make_topic(**fields: Any) -> Topic:
    return Topic(**{"slug": "ai-chips", "query": "AI 芯片", **fields})


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


def apply(database: Database, *wanted: Topic, pipeline: str = "news") -> TopicPlan:
    with database.transaction() as connection:
        return topics.apply(connection, pipeline, wanted)


def stored(database: Database, *, pipeline: str = "news", active_only: bool = False) -> list[Topic]:
    with database.transaction(read_only=True) as connection:
        return current_topics(connection, pipeline, active_only=active_only)


def actions(plan: TopicPlan) -> list[tuple[str, str, int]]:
    return [(change.topic.slug, change.action, change.topic.number) for change in plan.changes]


def versions(database: Database) -> int:
    with database.transaction() as connection:
        return int(connection.execute(text("SELECT count(*) FROM rerank.topic_version")).scalar_one())


def test_every_field_comes_back_as_it_was_applied(database: Database) -> None:
    topic = make_topic(
        queries={"en": 'AI "chips" \\ \'', "zh": "芯片"},
        instruction="Line\nbreak {}[],NULL",
        languages=("zh", "en"),
        must=("a,b", 'c"d', "NULL", "{e}"),
        must_not=("\\",),
        candidate_limit=1000,
        top_k=1,
        min_score=-0.1,
        half_life_hours=1 / 3,
        max_per_source=2,
        diversity=0.1,
        active=False,
    )
    apply(database, topic)
    (back,) = stored(database)
    assert back.topic_version_id > 0
    assert replace(back, topic_version_id=0) == replace(topic, number=1)


def test_applying_a_file_twice_changes_nothing(database: Database) -> None:
    apply(database, make_topic(min_score=0.1, half_life_hours=0.3), make_topic(slug="b"))
    again = apply(database, make_topic(min_score=0.1, half_life_hours=0.3), make_topic(slug="b"))
    assert actions(again) == [("ai-chips", "unchanged", 1), ("b", "unchanged", 1)]
    assert versions(database) == 2


def test_an_edit_is_a_new_version_that_names_the_fields(database: Database) -> None:
    apply(database, make_topic())
    (change,) = apply(database, make_topic(query="chips", top_k=5)).changes
    assert (change.action, change.fields) == ("new version", ("query", "top_k"))
    assert change.before is not None
    assert (change.before.query, change.topic.query) == ("AI 芯片", "chips")
    assert [(topic.number, topic.query) for topic in stored(database)] == [(2, "chips")]
    assert versions(database) == 2


def test_a_topic_that_leaves_the_file_is_deactivated_and_one_that_returns_is_a_new_version(
    database: Database,
) -> None:
    apply(database, make_topic(), make_topic(slug="b"))
    assert actions(apply(database, make_topic(slug="b"))) == [
        ("ai-chips", "deactivate", 2),
        ("b", "unchanged", 1),
    ]
    assert [topic.slug for topic in stored(database, active_only=True)] == ["b"]
    assert actions(apply(database, make_topic(slug="b"))) == [("b", "unchanged", 1)]
    assert actions(apply(database, make_topic(), make_topic(slug="b"))) == [
        ("ai-chips", "new version", 3),
        ("b", "unchanged", 1),
    ]


def test_a_plan_tells_what_apply_does_and_does_nothing(database: Database) -> None:
    apply(database, make_topic(), make_topic(slug="b"))
    wanted = [make_topic(top_k=3), make_topic(slug="c")]
    with database.transaction(read_only=True) as connection:
        planned = topics.plan(connection, "news", wanted)
    assert versions(database) == 2
    assert apply(database, *wanted) == planned
    assert actions(planned) == [("ai-chips", "new version", 2), ("b", "deactivate", 2), ("c", "create", 1)]


def test_pipelines_do_not_see_one_anothers_topics(database: Database) -> None:
    apply(database, make_topic())
    apply(database, make_topic(query="other"), pipeline="shadow")
    apply(database, pipeline="shadow")
    assert [topic.query for topic in stored(database, active_only=True)] == ["AI 芯片"]
    assert stored(database, pipeline="shadow", active_only=True) == []


def test_nothing_is_kept_of_an_apply_that_fails(database: Database) -> None:
    with pytest.raises(DBAPIError):
        apply(database, make_topic(), make_topic(slug="b", candidate_limit=0))
    assert stored(database) == []


def test_a_stored_version_cannot_be_changed(database: Database) -> None:
    apply(database, make_topic())
    with pytest.raises(DBAPIError, match="never changed"), database.transaction() as connection:
        connection.execute(text("UPDATE rerank.topic_version SET top_k = 1"))


def test_applies_of_one_pipeline_go_one_after_the_other(database: Database) -> None:
    failures: list[Exception] = []

    def edit(number: int) -> None:
        try:
            apply(database, make_topic(top_k=number), make_topic(slug=f"t{number}"))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    (topic,) = [topic for topic in stored(database, active_only=True) if topic.slug == "ai-chips"]
    assert topic.number == 8
    assert len(stored(database, active_only=True)) == 2


def test_a_thousand_topics_are_one_quick_apply(database: Database) -> None:
    plan = apply(database, *(make_topic(slug=f"t{number:04}") for number in range(1_000)))
    assert plan.count("create") == len(stored(database, active_only=True)) == 1_000


def test_the_sample_topics_are_good(database: Database) -> None:
    sample = Path(topics.__file__).parents[1] / "demo" / "sample" / "topics.yaml"
    assert apply(database, *topics.load_topics(sample)).count("create") == 12


def test_codes_that_were_stored_before_aliases_were_known_are_read_as_those_of_documents(
    database: Database,
) -> None:
    apply(
        database,
        make_topic(
            languages=("nb", "no", "iw", "in", "en"), queries={"nb": "norsk", "iw": "ivrit", "eng": "english"}
        ),
        make_topic(slug="both", queries={"nn": "nynorsk", "no": "norsk", "nb": "bokmål"}),
    )
    alone, both = stored(database)
    assert alone.languages == ("no", "he", "id", "en")
    assert alone.queries == {"no": "norsk", "he": "ivrit", "en": "english"}
    assert (alone.query_for("no"), alone.query_for("he"), alone.query_for("de")) == (
        "norsk",
        "ivrit",
        alone.query,
    )
    assert both.queries == {"no": "norsk"}


def test_a_file_with_the_codes_of_today_changes_nothing_in_a_topic_with_those_of_before(
    database: Database,
) -> None:
    apply(database, make_topic(languages=("nb",), queries={"iw": "ivrit"}))
    assert actions(apply(database, make_topic(languages=("no",), queries={"he": "ivrit"}))) == [
        ("ai-chips", "unchanged", 1)
    ]


def test_control_a_query_under_a_code_of_before_is_not_found_by_the_code_of_today() -> None:
    assert make_topic(queries={"iw": "ivrit"}).query_for("he") == make_topic().query
