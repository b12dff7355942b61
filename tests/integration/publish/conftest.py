"""A page that the gate compares with."""

import pytest
from factories import Newsroom
from gated import follow


@pytest.fixture
def standing(room: Newsroom) -> Newsroom:
    """A newsroom with a good page of two articles a topic."""
    follow(room)
    room.add("solar one", "wind one", "tide one", "solar wind tide two", ingested_at=room.ago(hours=3))
    room.run("first", until=room.ago(hours=2))
    return room
