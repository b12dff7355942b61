"""The kinds of scenarios of the fast tier, in one table: which faults each draws, and what its world needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from faults import attempt
from faults.attempt import MINUTE
from faults.strikes import Fault
from faults.stub import PAIRS_PER_CHUNK
from faults.world import Fire, World

CALM = "nothing"  # no fault at all: what the oracle says of an ordinary day
STAGES = ("extract", "prepare", "recall", "rerank", "publish")
ANYWHERE = ("extract", "prepare", "recall", "rerank", "rerank", "publish", "publish", "observe")
BEAR_EACH_OTHER = ("kill", "terminate", "cut off", "topic edit", "database crash", "engine failure")
# One article may take this long, in these scenarios, and a page is due so soon: preparing the sick ones takes longer.
SICK = {"prepare_seconds": 0.4}
SICK_DEADLINE_SECONDS = 1.0
HOURS = 3600.0
AHEAD_SECONDS = 2.0  # of the database's clock when a run begins

Draw = Callable[[Random, Fire, str], list[Fault]]


@dataclass(frozen=True)
class Kind:
    """One kind of scenario."""

    draw: Draw
    needs: frozenset[str] = frozenset()  # of the world; see Fire.why_not
    settings: Mapping[str, Any] = field(default_factory=dict)
    deadline_seconds: float | None = None  # None: as long as an ordinary run takes, and more
    may_hang: bool = True  # if not, a try that takes four minutes longer than an ordinary run hangs


def draw(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    """The faults of a scenario of this kind."""
    return KINDS[kind].draw(rng, fire, kind)


def _nothing(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    return []


def _anywhere(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    return [Fault(kind, point=_point(rng, fire, ANYWHERE), seconds=rng.choice((0.0, 0.1, 0.4)))]


def _any_moment(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    """At a point, or by the clock."""
    if rng.random() >= 0.35:
        points = ("commit",) if kind == "cut off" else None
        return [Fault(kind, point=_point(rng, fire, ANYWHERE, points))]
    stage = rng.choice((*STAGES, "observe"))
    return [Fault(kind, stage=stage, delay=rng.uniform(0.0, 1.1 * fire.seconds[stage]))]


def _freeze(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    points: Sequence[str] = ()
    if kind == "freeze in publish":  # its file is written, and its successor publishes first
        points = ("publish/rename/1", "publish/written/1")
    elif kind == "freeze in a copy":  # no timeout of Postgres ends its session
        points = ("prepare/copy/1", "rerank/copy/1", "publish/copy/1")
    return [Fault("freeze", point=rng.choice(points) if points else _point(rng, fire, (*STAGES, "publish")))]


def _stall(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    return [Fault(kind, point=_point(rng, fire, STAGES))]


def _write(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    """At each place where a file of the store is written: also that of the light order, and those of a late page."""
    stage = rng.choice(("recall", "degrade", "publish", "publish", attempt.OVERDUE))
    fault = Fault(kind)
    if kind == "store unreachable":
        fault.what, fault.seconds = rng.choice(("hangs", "refuses")), MINUTE
    if stage == "degrade":  # it writes only if there are pairs without a score
        fault.point = "degrade/put/1"
        return [fault, Fault("engine failure", chunk=1, for_good=True)]
    if stage == attempt.OVERDUE:  # recall is behind it: it writes a light order, the page and the topic files
        fault.point = f"{attempt.OVERDUE}/put/{rng.randint(1, 4)}"
        return [fault, Fault("stalled task", point="rerank/chunk/1")]
    fault.point = _point(rng, fire, (stage,), ("put",))
    return [fault]


def _database_disk(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    stages = ("extract", "prepare", "recall", "rerank", "degrade", "publish")
    return [Fault(kind, point=_point(rng, fire, stages, ("begin", "commit")))]


def _partition(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    """Before a connection is made, before a commit, in the middle of a COPY; of Redis: before it is asked."""
    if kind == "partition from Redis":
        point, seconds = f"publish/redis/{rng.randint(1, 2)}", rng.choice((1, 5)) * MINUTE
        return [Fault("partition", point=point, what="redis", seconds=seconds)]
    point = _point(rng, fire, ANYWHERE, ("begin", "commit", "copy", "committed"))
    return [Fault("partition", point=point, what="database", seconds=MINUTE, for_good=rng.random() < 0.5)]


def _jump(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    host = rng.choice(("database", "database", "workers"))
    stage = rng.choice(STAGES)
    point = "extract/begin/1" if stage == "extract" else _point(rng, fire, (stage,), ("begin", "commit"))
    # A run that is opened while the database's clock is ahead is the page until that time has come.
    ahead = AHEAD_SECONDS if host == "database" and stage == "extract" else 2 * HOURS
    return [Fault(kind, point=point, what=host, seconds=rng.choice((ahead, -2 * HOURS)))]


def _upgrade(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    """Between two tasks, or within one."""
    stage = rng.choice((*STAGES, "observe"))
    point = rng.choice((f"{stage}/begin/1", _point(rng, fire, (stage,), ("commit", "begin"))))
    return [Fault(kind, point=point, seconds=rng.choice((0.0, 0.2)))]


def _engine(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    return [Fault(kind, chunk=rng.randint(1, 6), for_good=rng.random() < 0.4)]


def _beside(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    return [Fault(kind, point=_point(rng, fire, STAGES))]


def _article(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    return [Fault(kind)]


def _helper(rng: Random, fire: Fire, kind: str) -> list[Fault]:  # its first article is asked second
    return [Fault(kind, point=f"prepare/ask/{rng.randint(2, 6)}")]


def _several(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    """Two or three that bear each other."""
    chosen = rng.sample(BEAR_EACH_OTHER, 2)
    if rng.random() < 0.5:
        chosen.append("overlapping run")
    return [fault for one in chosen for fault in draw(rng, fire, one)]


STORE, REMOTE, TABLES, NETWORK, REDIS, CLOCKS = (
    "small store",
    "remote store",
    "tables",
    "network",
    "redis",
    "clocks",
)
KINDS: dict[str, Kind] = {
    CALM: Kind(_nothing),
    "kill": Kind(_any_moment),
    "terminate": Kind(_any_moment),
    "freeze": Kind(_freeze),
    "freeze in publish": Kind(_freeze),
    "freeze in a copy": Kind(_freeze),
    "stalled task": Kind(_stall),
    "cut off": Kind(_any_moment),
    "database crash": Kind(_anywhere),
    "disk full": Kind(_write, frozenset({STORE})),
    "database's disk full": Kind(_database_disk, frozenset({TABLES})),
    "store unreachable": Kind(_write, frozenset({REMOTE})),
    "link in the store": Kind(_write),
    "partition from the database": Kind(_partition, frozenset({NETWORK}), may_hang=False),
    "partition from Redis": Kind(_partition, frozenset({NETWORK, REDIS}), may_hang=False),
    "clock jump": Kind(_jump, frozenset({CLOCKS})),
    "upgrade": Kind(_upgrade),
    "engine failure": Kind(_engine),
    "duplicate attempt": Kind(_beside),
    "overlapping run": Kind(_beside),
    "topic edit": Kind(_anywhere),
    "pathological article": Kind(_article, settings=SICK, deadline_seconds=SICK_DEADLINE_SECONDS),
    "frozen helper": Kind(_helper, settings=SICK),
    "several": Kind(_several),
}


def _point(rng: Random, fire: Fire, stages: Sequence[str], kinds: Sequence[str] | None = None) -> str:
    """One of the points that a good run passes."""
    stage = rng.choice(stages)
    passed = [
        point
        for point in fire.points[stage]
        if (point.split("/")[1] in kinds if kinds else point.split("/")[1] != "copy")
    ]
    # A run that scores less than the first one passes fewer chunks.
    near = [point for point in passed if int(point.split("/")[2]) <= 6]
    return rng.choice(near)


def may_rescore(world: World) -> int:
    """Pairs that may have been scored again: a chunk for each try that was killed, failed or was frozen, and for each
    that scored beside another one.

    Two tries side by side each score a chunk that the other one has scored, at most: where they began, and where they
    meet at last. The second of them goes carefully at first: a single pair more.
    """
    tries = [one for one in world.tries if one.asked.stage == "rerank"]
    cut_short = sum(
        one.lost or one.stalled or one.process.exitcode not in (attempt.DONE, None) for one in tries
    )
    beside = sum(
        any(one is not other and one.began < other.ended and other.began < one.ended for other in tries)
        for one in tries
    )
    return PAIRS_PER_CHUNK * (cut_short + beside) + beside
