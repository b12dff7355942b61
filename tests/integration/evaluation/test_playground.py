"""Articles in the playground: their texts, and the pictures that a model of pictures reads with them."""

from dataclasses import replace

import pytest
from factories import Newsroom
from made_media import add_medium, picture

from rerank_core.errors import InputError
from rerank_core.evaluation.playground import Pictured, Playground
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer
from rerank_core.models.vision import QWEN3_VL
from rerank_core.operations import removal


def test_an_article_comes_with_its_pictures_and_lends_them_until_it_is_forgotten(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = room.tuned(media=("score",))
    room.follow("solar")
    room.add("a", body="about solar power")
    room.add("bare", body="more of solar power")
    add_medium(room, "a", picture())
    add_medium(room, "a", b"no picture")
    room.run()
    scorer = FakeScorer()
    scorer.identity = replace(scorer.identity, family=QWEN3_VL.name)
    monkeypatch.setattr(scorers, "load", lambda settings, **_: scorer)
    page = Playground(room.settings)

    def read(fields: list[str], pictured: Pictured | None = None) -> list[tuple[str, ...]]:
        answer = page.ask("", "solar", "", fields, pictured)
        return [each.entry.pictures for each in sorted(answer.scored, key=lambda each: each.entry.number)]

    paths = tuple(room.ranking()[0].pictures)
    assert len(paths) == 1
    assert read(["article:a", "article:bare", "a text"]) == [paths, (), ()]
    assert read(["article:a", "a text"], Pictured(2, article_id=" a ")) == [paths, paths]
    assert read(["article:a"], Pictured(1, article_id="a")) == [paths], "no picture twice"
    for other in ("bare", "none", "\0", "\ud800", "' OR true --"):
        with pytest.raises(InputError, match="has no pictures in pipeline news"):
            read(["a text"], Pictured(1, article_id=other))
    removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id="a",
        reason="asked",
    )
    with pytest.raises(InputError, match="has no pictures in pipeline news"):
        read(["a text"], Pictured(1, article_id="a"))
    with pytest.raises(InputError, match="has no prepared text"):
        read(["article:a"])
    page.close()
