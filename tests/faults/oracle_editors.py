"""What the oracle asks of composition: pins are complete, at their places and nowhere else, and no source has too many rows."""

import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from faults.asker import Asker

Acts = dict[tuple[int, str], list[dict[str, Any]]]  # of each run and topic


def acts(ask: Asker) -> Acts:
    """The acts that each run follows."""
    found: Acts = defaultdict(list)
    for row in ask(
        "SELECT k.run_id, a.* FROM rerank.run_act k JOIN rerank.editorial_act a USING (act_id) ORDER BY act_id"
    ):
        found[row["run_id"], row["slug"]].append(row)
    return found


def free(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that no editor put to their places."""
    return [row for row in rows if row["moved_by"] != "pin"]


def composition(rows: Sequence[dict[str, Any]], stand: Mapping[str, Any]) -> Iterator[str]:
    """One topic's rows: what moved them adds up, and its sources keep to their limit."""
    for row in rows:
        if row["ranked_by"] == "editor" and row["moved_by"] != "pin":
            yield f"rank {row['rank']} was brought in by nobody"
        if row["moved"] and row["moved_by"] is None:
            yield f"rank {row['rank']} moved by {row['moved']}, and nothing moved it"
    for block in ("model", "bm25"):
        plain = [row["rank"] + row["moved"] for row in free(rows) if row["ranked_by"] == block]
        if plain != sorted(set(plain)):
            yield f"the places without composition are {plain} in the block {block}"
    limit = stand["max_per_source"]
    if limit is None:
        if stand["source_limited"]:
            yield f"{stand['source_limited']} rows are left out for their source, and there is no limit"
        return
    for source, count in Counter(row["source"] for row in free(rows) if row["source"]).items():
        if count > limit:
            yield f"{count} rows of source {source!r}, and {limit} are allowed"


def pins(
    ask: Asker, rankings: Mapping[int, list[dict[str, Any]]], store: Path, leaders: Mapping[int, int]
) -> Iterator[str]:
    """Each version of a run follows the pins that the run has kept: all of them, and no others."""
    kept = acts(ask)
    hidden: dict[int, set[str]] = defaultdict(set)
    for row in ask("SELECT publication_id, article_id FROM rerank.publication_hidden"):
        hidden[row["publication_id"]].add(row["article_id"])
    topics: dict[int, set[str]] = defaultdict(set)
    for row in ask("SELECT publication_id, slug FROM rerank.ranking_topic"):
        topics[row["publication_id"]].add(row["slug"])
    for page in ask(
        "SELECT p.publication_id, p.run_id, p.version, r.members_path FROM rerank.publication p JOIN rerank.run r USING (run_id)"
        " WHERE p.published_at >= r.frozen_at"  # else it was early, and followed what stood then
    ):
        members = _members(store, page["members_path"])
        for slug in topics[page["publication_id"]]:
            rows = [row for row in rankings[page["publication_id"]] if row["slug"] == slug]
            wanted = [act for act in kept[page["run_id"], slug] if act["kind"] == "pin"]
            name = f"run {page['run_id']} v{page['version']}, {slug}"
            yield from (
                f"{name}: {said}"
                for said in _pins(rows, wanted, members, hidden[page["publication_id"]], leaders)
            )


def _pins(
    rows: Sequence[dict[str, Any]],
    wanted: Sequence[dict[str, Any]],
    members: Mapping[str, int],
    hidden: set[str],
    leaders: Mapping[int, int],
) -> Iterator[str]:
    pinned = {
        row["scored_document_id"] or row["document_id"]: row for row in rows if row["moved_by"] == "pin"
    }
    places: dict[int, list[int]] = defaultdict(list)  # of each cluster
    for act in wanted:
        document_id = members.get(act["article_id"])
        if document_id is None or act["article_id"] in hidden:
            continue  # out of the window, or not to be shown
        places[leaders.get(document_id, document_id)].append(act["amount"])
    for leader, due in places.items():
        row = pinned.pop(leader, None)
        if row is None:
            yield f"text {leader} is pinned to {due}, and is not on the page"
        elif due[0] <= len(free(rows)) + 1 and row["rank"] != due[0]:
            yield f"{row['article_id']} is pinned to {due[0]} and stands at {row['rank']}"
    for row in pinned.values():
        yield f"{row['article_id']} stands at {row['rank']} as a pin, and nobody pinned it"


def _members(store: Path, path: str) -> dict[str, int]:
    """Article → the text that is scored for it, of the run's window."""
    table = pq.read_table(
        io.BytesIO((store / path).read_bytes()), columns=["article_id", "scored_document_id"]
    )
    columns = table.to_pydict()
    return dict(zip(columns["article_id"], columns["scored_document_id"], strict=True))


def composed(
    due: Mapping[int, float],
    sources: Mapping[int, str | None],
    *,
    top_k: int,
    limit: int | None,
    pinned: Mapping[int, tuple[int, str | None]],
) -> list[int]:
    """The clusters of a page in order: by score, within the limit of each source, with `pinned` (place, source) put in."""
    used = Counter(source for _, source in pinned.values() if source)
    page: list[int] = []
    for leader in sorted(due, key=due.__getitem__, reverse=True):
        source = sources.get(leader)
        if leader in pinned or len(page) >= top_k - len(pinned):
            continue
        if limit is not None and source and used[source] >= limit:
            continue
        used[source or ""] += 1
        page.append(leader)
    for leader, (place, _) in sorted(pinned.items(), key=lambda pin: pin[1][0]):
        page.insert(place - 1, leader)
    return page
