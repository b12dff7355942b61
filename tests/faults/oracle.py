"""What the promises come to after a fire, told by nothing of the project: its own SQL, its own reading of Parquet.

`examine` takes a database with the triggers of audit.sql, the store's folder and the logs of readers and
engine, and gives counts and a sentence for each violation.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import psycopg2.extras

from faults import oracle_claims as of_claims
from faults import oracle_logs as of_logs
from faults import oracle_news as of_news
from faults import oracle_pages as of_pages
from faults.asker import Asker

SHOWN = 5  # violations of one kind that are told one by one


@dataclass
class Verdict:
    """What was found."""

    revisions: int = 0
    runs: int = 0
    publications: int = 0
    readings: int = 0
    lost: int = 0  # versions that a claim saw, or final ones, that no run has; texts that were not kept
    doubled: int = 0  # revisions that more than one run has, or that no claim should have made
    torn: int = 0  # readings of a mix, of half a page, of an unexplained empty one, or of a broken file
    stale: int = 0  # commits of a try that a newer one had overtaken
    late: int = 0  # runs whose page was not out at its deadline, and nobody was told
    excused: int = 0  # runs whose page was late because the database or the store was down
    broken: int = 0  # anything else that is not as promised
    engine_pairs: int = 0  # pairs that went into an engine
    rescored: int = 0  # of these, pairs that had been in one before
    allowed: int = 0  # pairs that may be scored again: a chunk for each kill and each overlapping run
    violations: list[str] = field(default_factory=list)

    def add(self, kind: str, sentences: Iterator[str]) -> None:
        """Count the sentences under `kind`, and keep the first few."""
        found = list(sentences)
        setattr(self, kind, getattr(self, kind) + len(found))
        self.violations += [f"{kind}: {sentence}" for sentence in found[:SHOWN]]
        if len(found) > SHOWN:
            self.violations.append(f"{kind}: … {len(found) - SHOWN} more")


def examine(
    dsn: str,
    *,
    store: Path,
    folder: Path,
    may_rescore: int,
    at_rest: bool = True,
    redis_url: str | None = None,
) -> Verdict:
    """Look at everything; `may_rescore`: pairs that kills and overlapping runs may have had scored again.

    `at_rest`: writers have ended, and a run that nothing struck came after them. `folder` holds the logs that traffic.py and
    world.py write; one that is absent is not looked at. `redis_url`: of the copy, if there is one.
    """
    verdict = Verdict(allowed=may_rescore)
    with closing(psycopg2.connect(dsn, cursor_factory=psycopg2.extras.RealDictCursor)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        ask = Asker(connection)
        verdict.revisions = ask.one("SELECT count(*) AS n FROM rerank.revision")["n"]
        verdict.runs = ask.one("SELECT count(*) AS n FROM rerank.run")["n"]
        verdict.publications = ask.one("SELECT count(*) AS n FROM rerank.publication")["n"]
        lost, doubled = of_claims.claims(ask)
        verdict.add("lost", iter(lost))
        verdict.add("doubled", iter(doubled))
        verdict.add("lost", of_claims.texts(ask))
        verdict.add("doubled", of_claims.twice(ask))
        verdict.add("stale", of_claims.stale(ask))
        verdict.add("broken", of_claims.counts(ask))
        rankings = of_pages.rankings(ask)
        verdict.add("broken", of_pages.publications(ask, rankings, store))
        verdict.add("broken", of_pages.repeats(ask))
        verdict.add("broken", of_pages.pointer(ask))
        verdict.add("broken", of_news.changes(ask, rankings))
        if at_rest:
            verdict.add("lost", of_claims.final_versions(ask))
            verdict.add("lost", of_claims.unprepared(ask))
            verdict.add("broken", of_pages.last_page(ask, rankings))
            verdict.add("broken", of_pages.hints(ask, rankings, store))
            verdict.add("broken", of_news.feeds(ask, rankings, store))
            verdict.add("broken", of_pages.redis_copy(ask, redis_url) if redis_url else iter(()))
        verdict.add("broken", of_pages.gate(ask))
        verdict.add("broken", of_logs.strays(folder / "strays.log"))
        verdict.add("late", of_logs.late(folder, verdict))
        pages = of_logs.pages(ask)
        verdict.readings = sum(of_logs.count(folder / name) for name in ("views.log", "files.log"))
        verdict.add("torn", of_logs.views(pages, folder / "views.log"))
        verdict.add("torn", of_logs.files(pages, folder / "files.log"))
        if (folder / "engine.log").exists():
            verdict.add("broken", of_logs.engine(ask, folder / "engine.log", verdict))
    return verdict
