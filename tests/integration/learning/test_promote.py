"""Who ranks: a promotion is one row, runs that are frozen keep their scorer, and everything can be undone."""

import json
from typing import Any

import pytest
from factories import FakeEngines, Newsroom, make_topic

from rerank_core.errors import InputError, ModelError
from rerank_core.learning import promote
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer
from rerank_core.operations.doctor.examine import examine
from rerank_core.operations.preview.preview import preview
from rerank_core.storage.database import asked_by


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> FakeEngines:
    """Fake engines whose scorer is another one for each model that the settings name."""
    found = FakeEngines()

    def load(settings: Any, failures: int = 0, pairs: int = 0) -> FakeScorer:
        found.name = settings.model
        return found._load()

    monkeypatch.setattr(scorers, "identity", lambda settings: FakeScorer(name=settings.model).identity)
    monkeypatch.setattr(scorers, "load", load)
    return found


@pytest.fixture
def proposed(room: Newsroom) -> Any:
    """Registers a scorer as a training's proposal; gives its number."""

    def propose(name: str) -> int:
        with room.database.transaction() as connection:
            number = scorers.register(connection, FakeScorer(name=name).identity)
        room.sql(
            "INSERT INTO rerank.training (pipeline, base_scorer_id, scorer_id, verdict, sentence, record, began_at)"
            " VALUES ('news', :number, :number, 'proposed', 'every check passed', :record, now())",
            number=number,
            record=json.dumps({}),
        )
        return number

    return propose


def put(room: Newsroom, number: int, **options: Any) -> promote.Promotion:
    return promote.promote(
        room.database, room.settings, scorer_id=number, reason="readers like it", **options
    )


def ranked_by(room: Newsroom) -> set[str]:
    """The places of the scorers behind the current page."""
    rows = room.sql(
        "SELECT DISTINCT s.location FROM rerank.current_ranking r JOIN rerank.scorer s USING (scorer_id)"
        " WHERE r.pipeline = :pipeline",
        pipeline=room.settings.pipeline,
    )
    return {location for (location,) in rows}


@pytest.fixture
def newsroom(room: Newsroom) -> Newsroom:
    room = room.tuned(model="base")
    room.follow("solar")
    room.add("solar power", "solar panel", "wind farm")
    room.run("first")
    assert ranked_by(room) == {"base"}
    return room


def test_the_next_run_ranks_by_the_promoted_scorer_and_the_one_after_a_rollback_by_the_base(
    newsroom: Newsroom, proposed: Any
) -> None:
    with asked_by("Ana"):
        done = put(newsroom, proposed("better"))
    assert (done.kind, done.reason, done.actor, done.on_behalf_of) == (
        "promoted",
        "readers like it",
        "postgres",
        "Ana",
    )
    assert ranked_by(newsroom) == {"base"}  # no page changes by itself
    newsroom.run("second")
    assert ranked_by(newsroom) == {"better"}
    promote.roll_back(newsroom.database, newsroom.settings, reason="they do not")
    newsroom.run("third")
    assert ranked_by(newsroom) == {"base"}
    assert [one.kind for one in promote.history(newsroom.database, newsroom.settings)] == [
        "rolled back",
        "promoted",
    ]


def test_a_run_that_is_frozen_keeps_its_scorer(newsroom: Newsroom, proposed: Any) -> None:
    newsroom.add("solar storm")
    run = newsroom.until("rerank", "second")
    put(newsroom, proposed("better"))
    newsroom.rest(run)
    assert ranked_by(newsroom) == {"base"}
    newsroom.add("solar eclipse")
    run = newsroom.until("rerank", "third")
    promote.roll_back(newsroom.database, newsroom.settings, reason="they do not")
    newsroom.rest(run)
    assert ranked_by(newsroom) == {"better"}


def test_control_without_what_a_run_has_frozen_it_dies(
    newsroom: Newsroom, proposed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(newsroom, proposed("better"))
    newsroom.add("solar eclipse")
    run = newsroom.until("rerank", "third")
    promote.roll_back(newsroom.database, newsroom.settings, reason="they do not")
    in_use = scorers.in_use
    monkeypatch.setattr(
        scorers, "in_use", lambda connection, settings, frozen_id=None: in_use(connection, settings)
    )
    with pytest.raises(ModelError, match="frozen with scorer"):
        newsroom.rest(run)


def test_rollbacks_go_back_one_by_one_and_end_at_the_base(newsroom: Newsroom, proposed: Any) -> None:
    put(newsroom, proposed("better"))
    put(newsroom, proposed("best"))
    back = [promote.roll_back(newsroom.database, newsroom.settings, reason="no").location for _ in range(2)]
    assert back == ["better", "base"]
    with pytest.raises(InputError, match="nothing stands in place of base"):
        promote.roll_back(newsroom.database, newsroom.settings, reason="no")


def test_another_model_in_the_settings_is_the_last_word(newsroom: Newsroom, proposed: Any) -> None:
    put(newsroom, proposed("better"))
    newsroom.tuned(model="chosen by hand").run("second")
    assert ranked_by(newsroom) == {"chosen by hand"}


def test_whoever_asks_outside_of_a_run_asks_what_was_promoted(
    newsroom: Newsroom, proposed: Any, engines: FakeEngines
) -> None:
    wind = make_topic(slug="wind")
    put(newsroom, proposed("better"))
    preview(newsroom.database, newsroom.settings, [wind], score=2)
    assert engines.name == "better"
    assert scorers.in_place(newsroom.settings).model == "better"
    (told,) = [finding for finding in examine(newsroom.settings) if finding.name == "scorer"]
    assert told.found.startswith(FakeScorer(name="better").identity.digest[:12])
    promote.roll_back(newsroom.database, newsroom.settings, reason="no")
    assert scorers.in_place(newsroom.settings).model == "base"


def test_a_host_without_the_database_asks_the_model_of_the_settings_and_says_so(
    newsroom: Newsroom, empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    away = "postgresql+psycopg2://nobody@127.0.0.1:1/none"
    for url, warns in ((away, True), (empty_database_url, False)):
        caplog.clear()
        settings = newsroom.settings.model_copy(update={"database_url": url})
        assert scorers.in_place(settings).model == "base"
        assert ("RERANK_MODEL is asked" in caplog.text) == warns


def test_only_what_a_training_proposed_is_put_in_place_and_only_with_a_reason(
    newsroom: Newsroom, proposed: Any
) -> None:
    number = proposed("better")
    with pytest.raises(InputError, match="no training proposed scorer 1;"):
        put(newsroom, 1)
    with pytest.raises(InputError, match="reason"):
        promote.promote(newsroom.database, newsroom.settings, scorer_id=number, reason=" ")
    newsroom.sql("UPDATE rerank.scorer SET location = 'moved' WHERE scorer_id = :number", number=number)
    with pytest.raises(ModelError, match="is not scorer"):
        put(newsroom, number)
    assert newsroom.value("SELECT count(*) FROM rerank.promotion") == 0


def test_a_trial_is_a_second_pipeline_with_a_page_of_its_own(newsroom: Newsroom, proposed: Any) -> None:
    number = proposed("better")
    settings = promote.start_trial(newsroom.database, newsroom.settings, scorer_id=number, reason="look")
    assert settings.pipeline == f"news-try-{number}"
    trial = newsroom.tuned(pipeline=settings.pipeline)
    trial.run("trial-1")
    assert ranked_by(trial) == {"better"}
    assert ranked_by(newsroom) == {"base"}
    newsroom.run("second")
    assert ranked_by(newsroom) == {"base"}
    again = promote.start_trial(newsroom.database, newsroom.settings, scorer_id=number, reason="again")
    assert again.pipeline == settings.pipeline
