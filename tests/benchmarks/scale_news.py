"""What feeds and news add to a publication: a page of which every topic changes, with them and without."""

from time import monotonic
from typing import Any

from benchmarks.scale_page import Page
from rerank_core.frontends import followers

# A tenth of the scores is drawn anew: in every topic some articles enter, leave, rise and fall, and most stay.
SHUFFLE = (
    "UPDATE rerank.pair_score SET logit = 3 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())"
    " WHERE random() < 0.1"
)
SWITCH = "ALTER TABLE rerank.pointer_move {} TRIGGER changes_are_noted"
KINDS = "SELECT count(*) FROM rerank.change WHERE pointer_move_id = (SELECT max(pointer_move_id) FROM rerank.pointer_move)"


def measure_news(page: Page, *, rounds: int) -> dict[str, Any]:
    """Seconds of a publication and of the files that follow it, with feeds and news and without."""
    page.empty()
    page.publish()
    plain: list[dict[str, float]] = []
    whole: list[dict[str, float]] = []
    changes = []
    for number in range(rounds):
        for with_news in (True, False) if number % 2 else (False, True):
            (whole if with_news else plain).append(_publish(page, with_news=with_news))
            if with_news:
                changes.append(page.world.room.value(KINDS))
    return {
        "rows": page.rows,
        "topics": len(page.topics),
        "changes": changes,
        **{f"plain_{name}": [one[name] for one in plain] for name in plain[0]},
        **{f"whole_{name}": [one[name] for one in whole] for name in whole[0]},
    }


def _publish(page: Page, *, with_news: bool) -> dict[str, float]:
    """Publish a page that differs from the page before, and bring its files."""
    room = page.world.room
    room.sql(SHUFFLE)
    room.sql(SWITCH.format("ENABLE" if with_news else "DISABLE"))
    room.sql(
        "DELETE FROM rerank.ranking WHERE publication_id NOT IN (SELECT publication_id FROM rerank.pointer)"
    )
    page.world.settle()
    settings = room.settings.model_copy(update={"feeds": ("json", "atom") if with_news else ()})
    done = page.publish()
    began = monotonic()
    counts = followers.follow(database=room.database, store=room.resources.store, settings=settings)
    ended = monotonic()
    if counts["pages_written"] != len(page.topics):
        raise RuntimeError(f"expected {len(page.topics)} topic files, found {counts}")
    return {
        "database_s": done["database_s"],
        "publish_s": done["ended"] - done["began"],
        "files_s": ended - began,
        "all_s": done["ended"] - done["began"] + ended - began,
    }
