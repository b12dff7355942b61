"""What the oracle asks of publications: table, file, JSON pages, the copy in Redis, the pointer, and the order of the last page."""

import hashlib
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from faults import oracle_editors as of_editors
from faults.asker import Asker, plain, real

PROVENANCE = ("pipeline", "as_of", "run_id", "version", "attempt")
RANKING_COLUMNS = frozenset(
    "topic rank article_id title url source lang published_at first_ingested_at ranked_by logit rank_score"
    " light_score truncated is_new copies topic_version_id revision_id document_id scorer_id"
    " began_at copy_sources scored_document_id scored_article_id moved_by moved pictures captions".split()
)

Rankings = dict[int, list[dict[str, Any]]]  # rows of each publication


def rankings(ask: Asker) -> Rankings:
    """The rows of each publication, in order."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in ask("SELECT * FROM rerank.ranking ORDER BY publication_id, slug, rank"):
        found[row["publication_id"]].append(row)
    return found


def publications(ask: Asker, rankings: Rankings, store: Path) -> Iterator[str]:
    """Each publication is complete, in order, of one run and one scorer, and the same in table and file."""
    ledger = {
        (row["document_id"], row["scorer_id"], real(row["logit"]))
        for row in ask("SELECT document_id, scorer_id, logit FROM rerank.pair_score")
    }
    owners = {
        row["revision_id"]: row for row in ask("SELECT revision_id, article_id, run_id FROM rerank.revision")
    }
    leaders = _leaders(ask)
    topics: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in ask(
        "SELECT t.*, v.half_life_hours, v.top_k, v.max_per_source FROM rerank.ranking_topic t"
        " JOIN rerank.topic_version v USING (topic_version_id)"
    ):
        topics[row["publication_id"]][row["slug"]] = row
    for page in ask("SELECT * FROM rerank.publication ORDER BY publication_id"):
        name = f"publication {page['publication_id']} (run {page['run_id']} v{page['version']})"
        rows, stand = rankings[page["publication_id"]], topics[page["publication_id"]]
        by_topic: dict[str, list[dict[str, Any]]] = {slug: [] for slug in stand}
        for row in rows:
            by_topic.setdefault(row["slug"], []).append(row)
        if len(rows) != page["row_count"]:
            yield f"{name}: {len(rows)} rows in the table, {page['row_count']} were published"
        for slug, mine in by_topic.items():
            if slug not in stand:
                yield f"{name}: rows of {slug}, a topic that is not on it"
                continue
            for sentence in _ranking(mine, stand[slug], page["as_of"]):
                yield f"{name}, {slug}: {sentence}"
            clusters = [leaders.get(row["document_id"], row["document_id"]) for row in mine]
            if len(set(clusters)) != len(clusters):
                yield f"{name}, {slug}: two rows of one cluster"
        for row in rows:
            if owners.get(row["revision_id"], {}).get("article_id") != row["article_id"]:
                yield f"{name}: {row['article_id']} is not the article of revision {row['revision_id']}"
            scored = leaders.get(row["document_id"], row["document_id"])
            if row["scored_document_id"] not in (None, scored):
                yield f"{name}: {row['article_id']} has the score of another cluster's text"
            if row["logit"] is not None and (scored, row["scorer_id"], real(row["logit"])) not in ledger:
                yield f"{name}: the logit of {row['article_id']} is not in the ledger"
        for sentence in _file(page, rows, store):
            yield f"{name}: {sentence}"
    yield from of_editors.pins(ask, rankings, store, leaders)


def _leaders(ask: Asker) -> dict[int, int]:
    """The text that each text's cluster is scored by; a text that is not here stands by itself."""
    found = ask("SELECT document_id, leader_document_id FROM rerank.near_copy")
    return {row["document_id"]: row["leader_document_id"] for row in found}


def _birth(row: dict[str, Any]) -> Any:
    """What an article's age counts from."""
    return min(row["first_ingested_at"], row["published_at"] or row["first_ingested_at"])


def _ranking(rows: list[dict[str, Any]], stand: dict[str, Any], as_of: Any) -> Iterator[str]:
    if [row["rank"] for row in rows] != list(range(1, len(rows) + 1)):
        yield f"ranks are {[row['rank'] for row in rows]}"
    if len({row["article_id"] for row in rows}) != len(rows):
        yield "an article stands there twice"
    if len(rows) != stand["ranked"]:
        yield f"{len(rows)} rows, {stand['ranked']} were ranked"
    if {row["topic_version_id"] for row in rows} - {stand["topic_version_id"]}:
        yield "rows of another topic version"
    parts = [stand[part] for part in ("from_ledger", "scored", "refused", "missing", "left_out")]
    if stand["candidates"] != sum(parts):
        yield f"{stand['candidates']} candidates are not {parts}"
    yield from of_editors.composition(rows, stand)
    free = of_editors.free(rows)
    by = [row["ranked_by"] for row in free]
    light = [row for row in free if row["ranked_by"] == "bm25"]
    by_score = [row for row in free if row["ranked_by"] == "model"]
    if by != ["model"] * len(by_score) + ["bm25"] * len(light):
        yield "the two blocks are mixed"
    if max(len(by_score) + len(rows) - len(free), len(light)) > stand["top_k"]:
        yield f"{len(by_score)} and {len(light)} rows, top_k is {stand['top_k']}"
    model = [row for row in rows if row["ranked_by"] == "model"]
    if len({row["scorer_id"] for row in model}) > 1:
        yield "two scorers are mixed"
    numbers = [row[name] for row in model for name in ("logit", "rank_score")]
    if any(number is None or not math.isfinite(number) for number in numbers):
        yield "a score is no number"
        return
    for row in model:
        born = row["began_at"] or _birth(row)
        age = max(0.0, (as_of - born).total_seconds() / 3600)
        due = row["logit"] - math.log(2) * age / stand["half_life_hours"]
        if abs(due - row["rank_score"]) > 1e-4:
            yield f"rank {row['rank']} has rank_score {row['rank_score']}, not {due}"
    for score, block in (("rank_score", by_score), ("light_score", light)):
        if any(above[score] < below[score] for above, below in pairwise(block)):
            yield f"{score} does not fall"
    if any(row["logit"] is not None for row in light):
        yield "a row of the second block has a logit"
    if light and not stand["missing"]:
        yield "a second block, though nothing is missing"


def _file(page: dict[str, Any], rows: list[dict[str, Any]], store: Path) -> Iterator[str]:
    try:
        content = (store / page["parquet_path"]).read_bytes()
        table = pq.read_table(io.BytesIO(content))
    except Exception as error:
        yield f"its file cannot be read: {type(error).__name__}"
        return
    if hashlib.sha256(content).hexdigest() != page["parquet_sha256"]:
        yield "its file has another sha256"
    if lacking := RANKING_COLUMNS - set(table.column_names):
        yield f"its file lacks {sorted(lacking)}"
    told = {"pipeline": page["pipeline"], "as_of": page["as_of"], "run_id": page["run_id"]}
    told |= {"version": page["version"], "attempt": page["fence"]}
    for name in PROVENANCE:
        if table.num_rows and set(table.column(name).to_pylist()) != {told[name]}:
            yield f"its file says {name} = {set(table.column(name).to_pylist())}, not {told[name]}"
    shared = [name for name in table.column_names if name == "topic" or (rows and name in rows[0])]
    shared = [name for name in shared if name not in PROVENANCE]
    in_file = [[plain(row[name]) for name in shared] for row in table.to_pylist()]
    in_table = [[plain(row["slug" if name == "topic" else name]) for name in shared] for row in rows]
    if in_file != in_table:
        yield f"its file and its table differ ({len(in_file)} and {len(in_table)} rows)"


def repeats(ask: Asker) -> Iterator[str]:
    """A run's next version has the same rows, or says why not."""
    for row in ask(
        "SELECT a.run_id, a.version, a.rows_sha256 = b.rows_sha256 AS same, a.difference FROM rerank.publication a"
        " JOIN rerank.publication b ON b.run_id = a.run_id AND b.version = a.version - 1"
    ):
        if row["same"] == (row["difference"] is not None) or "unexplained" in (row["difference"] or ""):
            yield f"run {row['run_id']} v{row['version']}: same rows {row['same']}, difference {row['difference']!r}"


def gate(ask: Asker) -> Iterator[str]:
    """Every engine of a fire scores as it should: there is nothing that the gate may block."""
    for row in ask("SELECT run_id, sentence FROM rerank.gate WHERE verdict = 'blocked' ORDER BY gate_id"):
        yield f"run {row['run_id']} was blocked by the gate: {row['sentence']}"


def pointer(ask: Asker) -> Iterator[str]:
    """It goes forward alone, and is at the newest publication."""
    moves = ask(
        "SELECT m.pointer_move_id, m.to_publication_id, m.from_publication_id, p.as_of FROM rerank.pointer_move m"
        " JOIN rerank.publication p ON p.publication_id = m.to_publication_id ORDER BY m.pointer_move_id"
    )
    for before, after in pairwise(moves):
        if after["as_of"] < before["as_of"]:
            yield f"move {after['pointer_move_id']} took the page back from {before['as_of']} to {after['as_of']}"
        if after["from_publication_id"] != before["to_publication_id"]:
            yield f"move {after['pointer_move_id']} does not follow the one before"
    standing = ask("SELECT publication_id FROM rerank.pointer")
    newest = ask(
        "SELECT p.publication_id FROM rerank.publication p JOIN rerank.run r USING (run_id)"
        " ORDER BY p.as_of DESC, r.claimed_at DESC, p.version DESC LIMIT 1"
    )
    if standing != newest:
        yield f"the pointer is at {standing}, the newest publication is {newest}"


def last_page(ask: Asker, rankings: Rankings) -> Iterator[str]:
    """Rank the newest page again from revisions and ledger: the same articles in the same order."""
    (page,) = ask("SELECT p.* FROM rerank.pointer JOIN rerank.publication p USING (publication_id)")
    run = ask.one("SELECT * FROM rerank.run WHERE run_id = %s", page["run_id"])
    members: dict[int, list[dict[str, Any]]] = defaultdict(list)  # of each cluster, the earliest first
    leaders = _leaders(ask)
    for row in ask(
        "SELECT r.document_id, r.article_id, r.first_ingested_at, r.published_at, r.source"
        " FROM (SELECT DISTINCT ON (article_id) * FROM rerank.revision WHERE ingested_at < %s"
        "       ORDER BY article_id, number DESC) r"
        " WHERE r.document_id IS NOT NULL AND r.first_ingested_at >= %s"
        " ORDER BY r.first_ingested_at, r.article_id",
        run["until"],
        run["fresh_since"],
    ):
        members[leaders.get(row["document_id"], row["document_id"])].append(row)
    clusters = {row["document_id"]: row for row in ask("SELECT * FROM rerank.near_copy")}
    here = {row["article_id"] for row in ask("SELECT article_id FROM rerank.article")}
    members_all = {one["article_id"] for articles in members.values() for one in articles}
    acts = of_editors.acts(ask)
    out = {
        row["article_id"]
        for row in ask(
            "SELECT article_id FROM rerank.publication_hidden WHERE publication_id = %s",
            page["publication_id"],
        )
    }
    topics = ask(
        "SELECT t.slug, t.state, t.scorer_id, v.top_k, v.half_life_hours, v.max_per_source, q.query_id FROM rerank.ranking_topic t"
        " JOIN rerank.topic_version v USING (topic_version_id)"
        " JOIN rerank.query q ON q.query = v.query AND q.instruction = v.instruction"
        " WHERE t.publication_id = %s",
        page["publication_id"],
    )
    for topic in topics:
        if topic["state"] != "full":
            yield f"the last page has {topic['slug']} as {topic['state']}, with nothing in its way"
            continue
        logits = {
            row["document_id"]: row["logit"]
            for row in ask(
                "SELECT document_id, logit FROM rerank.pair_score WHERE query_id = %s AND scorer_id = %s",
                topic["query_id"],
                topic["scorer_id"],
            )
        }
        refused = {
            row["document_id"]
            for row in ask(
                "SELECT document_id FROM rerank.refused_pair WHERE query_id = %s", topic["query_id"]
            )
        }
        unscored = members.keys() - logits.keys() - refused
        if unscored:
            yield f"{topic['slug']}: {len(unscored)} clusters were never scored"
        due = {}
        for leader, articles in members.items():
            if leader in logits:
                born, first = _birth(articles[0]), clusters.get(leader)
                if first is not None and first["first_ingested_at"] <= articles[0]["first_ingested_at"]:
                    born = first["began_at"]
                age = max(0.0, (page["as_of"] - born).total_seconds() / 3600)
                due[leader] = real(logits[leader]) - math.log(2) * age / topic["half_life_hours"]
        mine = [row for row in rankings[page["publication_id"]] if row["slug"] == topic["slug"]]
        shown = [leaders.get(row["document_id"], row["document_id"]) for row in mine]
        # A deleted article may be hidden or kept: that is a setting.
        alive = {
            leader
            for leader, articles in members.items()
            if any(one["article_id"] in here for one in articles)
        }
        pinned = _pinned(acts[run["run_id"], topic["slug"]], members, out)
        pages = []
        for candidates, is_shown in (
            (due, members_all),
            ({k: v for k, v in due.items() if k in alive}, here),
        ):
            sources = {leader: _source(articles, is_shown) for leader, articles in members.items()}
            limits = {"top_k": topic["top_k"], "limit": topic["max_per_source"], "pinned": pinned}
            pages.append(of_editors.composed(candidates, sources, **limits))
        if not any(_equal(shown, best, due, pinned) for best in pages):
            lacking = sorted(due.keys() & alive - set(shown), key=due.__getitem__, reverse=True)
            names = [row["article_id"] for row in mine]
            left = [members[leader][0]["article_id"] for leader in lacking]
            yield f"{topic['slug']}: the last page shows {names[:9]}…, and not {left[:9]}…"
        for row, leader in zip(mine, shown, strict=True):
            there = len(members.get(leader, ()))
            if not 1 <= row["copies"] <= there:
                yield f"{topic['slug']}: {row['article_id']} counts {row['copies']} copies of {there}"


def hints(ask: Asker, rankings: Rankings, store: Path) -> Iterator[str]:
    """The JSON files show the page that the pointer is at, once nobody publishes any more."""
    (page,) = ask("SELECT p.* FROM rerank.pointer JOIN rerank.publication p USING (publication_id)")
    try:
        latest = json.loads((store / page["pipeline"] / "latest.json").read_text())
        topics = {
            slug: json.loads((store / one["page"]).read_text()) for slug, one in latest["topics"].items()
        }
    except (OSError, ValueError, KeyError) as error:
        yield f"the JSON pages cannot be read: {type(error).__name__}: {error}"
        return
    for name, told in (("latest.json", latest), *topics.items()):
        for column in ("publication_id", "run_id", "version"):
            if told[column] != page[column]:
                yield f"{name} says {column} = {told[column]}, the page has {page[column]}"
    rows = rankings[page["publication_id"]]
    wanted = {
        row["slug"]
        for row in ask(
            "SELECT slug FROM rerank.ranking_topic WHERE publication_id = %s", page["publication_id"]
        )
    }
    if set(topics) != wanted:
        yield f"latest.json has the topics {sorted(topics)}, the page {sorted(wanted)}"
    for slug, told in topics.items():
        due = [(row["rank"], row["article_id"], plain(row["logit"])) for row in rows if row["slug"] == slug]
        shown = [(row["rank"], row["article_id"], plain(row["logit"])) for row in told["articles"]]
        if shown != due:
            yield f"the JSON page of {slug} shows {shown[:3]}…, the table {due[:3]}…"


def redis_copy(ask: Asker, url: str) -> Iterator[str]:
    """The copy in Redis shows the page that the pointer is at, once nobody publishes any more."""
    import redis

    (page,) = ask("SELECT p.* FROM rerank.pointer JOIN rerank.publication p USING (publication_id)")
    with redis.Redis.from_url(url) as client:
        found = client.get(f"rerank:{{{page['pipeline']}}}:page")
    shown = json.loads(found)["publication_id"] if isinstance(found, bytes) else None
    if shown != page["publication_id"]:
        yield f"Redis shows publication {shown}, the page is {page['publication_id']}"


def _pinned(
    acts: list[dict[str, Any]], members: dict[int, list[dict[str, Any]]], hidden: set[str]
) -> dict[int, tuple[int, str | None]]:
    """Cluster → the place that it is pinned to, and the source of the pinned article; of two pins the older counts."""
    found: dict[int, tuple[int, str | None]] = {}
    for act in acts:
        for leader, articles in members.items():
            for one in articles:
                if one["article_id"] == act["article_id"] and one["article_id"] not in hidden:
                    found.setdefault(leader, (act["amount"], one["source"]))
    return found


def _source(articles: list[dict[str, Any]], shown: set[str]) -> str | None:
    """The source of the article that stands for a cluster."""
    sources: list[str | None] = [one["source"] for one in articles if one["article_id"] in shown]
    return sources[0] if sources else None


def _equal(found: list[int], due: list[int], scores: dict[int, float], pinned: dict[int, Any]) -> bool:
    """The same clusters in the same order; of two with one score either may come first."""
    if len(found) != len(due):
        return False
    return all(
        one == other
        or (not {one, other} & pinned.keys() and abs(scores.get(one, math.inf) - scores[other]) < 1e-7)
        for one, other in zip(found, due, strict=True)
    )
