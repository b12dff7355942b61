"""Runs that the gate blocks."""

from factories import Newsroom, make_topic

TOPICS = ("solar", "wind", "tide")


def follow(room: Newsroom, *slugs: str, **overrides: object) -> None:
    """Make these the topics, or those of TOPICS; each takes what has its word."""
    room.follow(
        *(make_topic(slug=slug, must=(slug,), candidate_limit=100, **overrides) for slug in slugs or TOPICS)
    )


def blocked_run(room: Newsroom, key: str = "bad", **options: object) -> dict[str, object]:
    """What publish says of a run whose model gives the same logit to everything."""
    room.engines.options = {"constant": 3.0, "pairs_per_chunk": 100, **options}
    run = room.until("publish", key)
    published = room.stage("publish", run)
    room.stage("observe", run)
    room.engines.options = {"pairs_per_chunk": 100}
    assert published["blocked"]
    return published


def scores_of(room: Newsroom, run_id: object) -> int:
    """Scores in the ledger that a run made."""
    return int(room.value("SELECT count(*) FROM rerank.pair_score WHERE run_id = :run_id", run_id=run_id))
