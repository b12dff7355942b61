"""Two pages to clean up after."""

import pytest
from clean_ups import pass_days
from factories import Newsroom


@pytest.fixture
def two_pages(room: Newsroom) -> Newsroom:
    """A page of a hundred days ago, and one of ten days ago that frontends have seen since."""
    room.follow("solar")
    room.add("solar old")
    room.run("old")
    pass_days(room, 90)
    room.add("solar new")
    room.run("new")
    pass_days(room, 10)
    return room
