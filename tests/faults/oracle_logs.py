"""What the oracle asks of logs: those of readers, of the engine, and of when pages came out."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from faults.asker import Asker, lines

if TYPE_CHECKING:
    from faults.oracle import Verdict

BUSY = 5  # times the grace that a page may be late while the run is not prepared


def pages(ask: Asker) -> dict[int, tuple[int, str]]:
    """Rows and digest of each publication, as a reader of the view should see them."""
    pages = {}
    for page in ask("SELECT publication_id, row_count FROM rerank.publication"):
        rows = ask(
            "SELECT slug AS topic, rank, article_id, ranked_by, logit, rank_score, moved_by, moved FROM rerank.ranking"
            " WHERE publication_id = %s ORDER BY slug, rank",
            page["publication_id"],
        )
        digest = hashlib.sha256(repr([tuple(row.values()) for row in rows]).encode()).hexdigest()
        pages[page["publication_id"]] = (page["row_count"], digest)
    return pages


def count(path: Path) -> int:
    """How many lines a log has."""
    return sum(1 for _ in lines(path))


def views(pages: dict[int, tuple[int, str]], log: Path) -> Iterator[str]:
    """Readers of the view saw one whole page at a time, and none older than the one before."""
    before = ""
    for reading in lines(log):
        if len(reading["seen"]) > 1:
            yield f"a reader saw {len(reading['seen'])} pages at once: {reading['seen']}"
        elif not reading["seen"]:
            if all(rows for rows, _ in pages.values()):
                yield "a reader saw an empty page, and none was published"
        else:
            publication_id, _, _, as_of = reading["seen"][0]
            rows, digest = pages.get(publication_id, (-1, ""))
            if (reading["rows"], reading["digest"]) != (rows, digest):
                yield f"a reader saw {reading['rows']} rows of publication {publication_id}, which has {rows}"
            if as_of < before:
                yield f"a reader saw {as_of} after {before}"
            before = as_of


def files(pages: dict[int, tuple[int, str]], log: Path) -> Iterator[str]:
    """Readers of files found one whole file."""
    for reading in lines(log):
        if reading["torn"]:
            yield f"a reader of files: {reading['torn']}"
        elif reading["pages"] != 1:
            yield f"a reader was told of {reading['pages']} files at once"
        elif reading["rows"] != pages.get(reading["publication"], (-1, ""))[0]:
            yield f"a reader's file of publication {reading['publication']} had {reading['rows']} rows"


def engine(ask: Asker, log: Path, verdict: "Verdict") -> Iterator[str]:
    """Count what went into engines, and compare it with the ledger."""
    asked: Counter[tuple[int, int]] = Counter()
    for line in log.read_text().splitlines():
        for pair in line.split(" ")[1:]:
            query_id, document_id = pair.split(":")
            asked[int(query_id), int(document_id)] += 1
    verdict.engine_pairs = asked.total()
    verdict.rescored = asked.total() - len(asked)
    if verdict.rescored > verdict.allowed:
        yield f"{verdict.rescored} pairs were scored again, {verdict.allowed} at most are to be"
    for row in ask("SELECT query_id, document_id FROM rerank.pair_score"):
        if (row["query_id"], row["document_id"]) not in asked:
            yield f"query {row['query_id']} × document {row['document_id']} has a score that no engine gave"


def late(folder: Path, verdict: "Verdict") -> Iterator[str]:
    """Each run has a page when that is due, or the page before says that it is overdue.

    deadlines.log says when, and how long a late page may take. While the database or the store was down no page could come out
    (outages.log): such a page is due when that was over, and is counted. A busy machine may take longer: by what the run's own
    tries have waited for a processor since the deadline (waits.log) and, while the articles are not prepared, by BUSY graces.
    """
    reached: dict[tuple[str, str], float] = {}
    for told in lines(folder / "runs.log"):
        reached.setdefault((told["key"], told["what"]), told["moment"])
    outages = list(lines(folder / "outages.log"))
    waits = list(lines(folder / "waits.log"))
    seen: set[str] = set()
    for told in lines(folder / "deadlines.log"):
        key = told["key"]
        if key in seen:  # it was played again
            continue
        seen.add(key)
        out = min(reached.get((key, what), math.inf) for what in ("page", "overdue"))
        up = max((outage["ended"] for outage in outages if outage["began"] < out), default=0.0)
        grace = told["grace"] * (1 if out > reached.get((key, "prepared"), math.inf) else BUSY)
        grace += sum(
            wait["seconds"] for wait in waits if wait["key"] == key and told["due"] < wait["moment"] <= out
        )
        if out > told["due"] + grace and out <= up + grace:
            verdict.excused += 1
        elif out > told["due"] + grace:
            yield f"run {key} had no page at its deadline; it had one {out - told['due']:.1f} s later"


def strays(log: Path) -> Iterator[str]:
    """Nothing was written outside of the store."""
    for told in lines(log):
        yield f"{told['path']} was written outside of the store, through a link"
