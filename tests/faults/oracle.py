"""What the promises come to after a fire, told by nothing of the project: its own SQL, its own reading of Parquet.

`examine` takes a database with the triggers of audit.sql, the store's folder and the logs of readers and
engine, and gives counts and a sentence for each violation.
"""

import hashlib
import io
import json
import math
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import pyarrow.parquet as pq

PROVENANCE = ("pipeline", "as_of", "run_id", "version", "attempt")
RANKING_COLUMNS = frozenset(
    "topic rank article_id title url source lang published_at first_ingested_at ranked_by logit rank_score"
    " light_score truncated is_new copies topic_version_id revision_id document_id scorer_id"
    " began_at copy_sources scored_document_id scored_article_id".split()
)
SHOWN = 5  # violations of one kind that are told one by one
GRACE_SECONDS = 2.0  # that a late page takes from its deadline on


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


def examine(dsn: str, *, store: Path, folder: Path, may_rescore: int, at_rest: bool = True) -> Verdict:
    """Look at everything; `may_rescore`: pairs that kills and overlapping runs may have had scored again.

    `at_rest`: writers have ended, and a run that nothing struck came after them. `folder` holds views.log, files.log, engine.log and
    deadlines.log; one that is absent is not looked at.
    """
    verdict = Verdict(allowed=may_rescore)
    with closing(psycopg2.connect(dsn, cursor_factory=psycopg2.extras.RealDictCursor)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        ask = _Asker(connection)
        verdict.revisions = ask.one("SELECT count(*) AS n FROM rerank.revision")["n"]
        verdict.runs = ask.one("SELECT count(*) AS n FROM rerank.run")["n"]
        verdict.publications = ask.one("SELECT count(*) AS n FROM rerank.publication")["n"]
        lost, doubled = _claims(ask)
        verdict.add("lost", iter(lost))
        verdict.add("doubled", iter(doubled))
        verdict.add("lost", _texts(ask))
        verdict.add("doubled", _twice(ask))
        verdict.add("stale", _stale(ask))
        rankings = _rankings(ask)
        verdict.add("broken", _publications(ask, rankings, store))
        verdict.add("broken", _repeats(ask))
        verdict.add("broken", _pointer(ask))
        if at_rest:
            verdict.add("lost", _final_versions(ask))
            verdict.add("lost", _unprepared(ask))
            verdict.add("broken", _last_page(ask, rankings))
            verdict.add("broken", _hints(ask, rankings, store))
        verdict.add("broken", _gate(ask))
        verdict.add("late", _late(ask, folder / "deadlines.log"))
        pages = _pages(ask)
        verdict.readings = sum(_count(folder / name) for name in ("views.log", "files.log"))
        verdict.add("torn", _views(pages, folder / "views.log"))
        verdict.add("torn", _files(pages, folder / "files.log"))
        if (folder / "engine.log").exists():
            verdict.add("broken", _engine(ask, folder / "engine.log", verdict))
    return verdict


class _Asker:
    """Rows of a statement, as dictionaries."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __call__(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return [dict(row) for row in cursor.fetchall()]

    def one(self, statement: str, *values: Any) -> dict[str, Any]:
        """The only row."""
        (row,) = self(statement, *values)
        return row


# ── Claims ──────────────────────────────────────────────────────────────────────────────────────


def _claims(ask: _Asker) -> tuple[list[str], list[str]]:
    """Replay every claim against what its snapshot showed: what it should have taken, and what it took."""
    lost: dict[tuple[str, str], str] = {}
    doubled: list[str] = []
    latest: dict[str, str] = {}
    claims = ask(
        "SELECT c.run_id, r.key, r.since, r.until, c.snapshot::text AS snapshot"
        " FROM fire.claim c JOIN rerank.run r USING (run_id) ORDER BY c.number"
    )
    for claim in claims:
        name = f"run {claim['run_id']} ({claim['key']})"
        if claim["snapshot"] is None:
            doubled.append(f"{name} is marked as claimed, but inserted no revisions with it")
            continue
        seen = ask(
            "SELECT article_id, version FROM fire.version"
            " WHERE pg_visible_in_snapshot(born, %s::pg_snapshot)"
            " AND NOT COALESCE(pg_visible_in_snapshot(died, %s::pg_snapshot), false)"
            " AND ingested_at >= %s AND ingested_at < %s",
            claim["snapshot"],
            claim["snapshot"],
            claim["since"],
            claim["until"],
        )
        due = Counter(
            (row["article_id"], row["version"])
            for row in seen
            if latest.get(row["article_id"]) != row["version"]
        )
        taken = Counter(
            (row["article_id"], row["version"])
            for row in ask(
                "SELECT article_id, version FROM rerank.revision WHERE run_id = %s", claim["run_id"]
            )
        )
        for article_id, version in due - taken:
            lost.setdefault(
                (article_id, version), f"{name} saw {article_id} at version {version} and left it"
            )
        for article_id, version in taken - due:
            doubled.append(f"{name} took {article_id} at version {version}, which was not due")
        latest.update(dict(taken.keys()))
    return list(lost.values()), doubled


def _final_versions(ask: _Asker) -> Iterator[str]:
    for row in ask(
        "SELECT a.article_id, a.version FROM rerank.article a"
        " WHERE a.ingested_at < (SELECT max(until) FROM rerank.run WHERE claimed_at IS NOT NULL)"
        " AND a.version::text IS DISTINCT FROM"
        " (SELECT r.version FROM rerank.revision r WHERE r.article_id = a.article_id ORDER BY r.number DESC LIMIT 1)"
    ):
        yield f"{row['article_id']} ended at version {row['version']}, which is not its latest revision"


def _texts(ask: _Asker) -> Iterator[str]:
    for row in ask(
        "SELECT r.revision_id FROM rerank.revision r"
        " LEFT JOIN rerank.revision_text t USING (revision_id)"
        " LEFT JOIN fire.version v ON v.article_id = r.article_id AND v.version = r.version"
        " WHERE (t.title, t.body) IS DISTINCT FROM (v.title, v.body)"
    ):
        yield f"revision {row['revision_id']} has not the text that its version had"


def _unprepared(ask: _Asker) -> Iterator[str]:
    for row in ask(
        "SELECT r.revision_id FROM rerank.revision r"
        " WHERE r.document_id IS NULL AND NOT EXISTS"
        " (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id)"
    ):
        yield f"revision {row['revision_id']} was claimed and never prepared"


def _twice(ask: _Asker) -> Iterator[str]:
    for row in ask(
        "SELECT article_id, version, array_agg(run_id ORDER BY run_id)::text AS runs FROM rerank.revision"
        " GROUP BY pipeline, article_id, version HAVING count(*) > 1"
    ):
        yield f"{row['article_id']} at version {row['version']} is in runs {row['runs']}"


def _stale(ask: _Asker) -> Iterator[str]:
    for row in ask(
        "SELECT p.publication_id, p.fence, max(f.fence) AS newest FROM rerank.publication p"
        " JOIN fire.publication s USING (publication_id)"
        " JOIN fire.fence f ON f.run_id = p.run_id AND f.fence > p.fence"
        " AND pg_visible_in_snapshot(f.taken, s.snapshot)"
        " GROUP BY p.publication_id, p.fence"
    ):
        yield f"publication {row['publication_id']} of fence {row['fence']} committed after fence {row['newest']} was taken"
    for row in ask("SELECT run_id FROM fire.refrozen"):
        yield f"run {row['run_id']} was frozen twice, with other pairs"


# ── Publications ────────────────────────────────────────────────────────────────────────────────


def _rankings(ask: _Asker) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in ask("SELECT * FROM rerank.ranking ORDER BY publication_id, slug, rank"):
        found[row["publication_id"]].append(row)
    return found


def _publications(ask: _Asker, rankings: dict[int, list[dict[str, Any]]], store: Path) -> Iterator[str]:
    ledger = {
        (row["document_id"], row["scorer_id"], _real(row["logit"]))
        for row in ask("SELECT document_id, scorer_id, logit FROM rerank.pair_score")
    }
    owners = {
        row["revision_id"]: row for row in ask("SELECT revision_id, article_id, run_id FROM rerank.revision")
    }
    leaders = _leaders(ask)
    topics: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in ask(
        "SELECT t.*, v.half_life_hours, v.top_k FROM rerank.ranking_topic t"
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
            if row["logit"] is not None and (scored, row["scorer_id"], _real(row["logit"])) not in ledger:
                yield f"{name}: the logit of {row['article_id']} is not in the ledger"
        for sentence in _file(page, rows, store):
            yield f"{name}: {sentence}"


def _leaders(ask: _Asker) -> dict[int, int]:
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
    by = [row["ranked_by"] for row in rows]
    model = [row for row in rows if row["ranked_by"] == "model"]
    light = [row for row in rows if row["ranked_by"] == "bm25"]
    if by != ["model"] * len(model) + ["bm25"] * len(light):
        yield "the two blocks are mixed"
    if max(len(model), len(light)) > stand["top_k"]:
        yield f"{len(model)} and {len(light)} rows, top_k is {stand['top_k']}"
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
    for score, block in (("rank_score", model), ("light_score", light)):
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
    in_file = [[_plain(row[name]) for name in shared] for row in table.to_pylist()]
    in_table = [[_plain(row["slug" if name == "topic" else name]) for name in shared] for row in rows]
    if in_file != in_table:
        yield f"its file and its table differ ({len(in_file)} and {len(in_table)} rows)"


def _repeats(ask: _Asker) -> Iterator[str]:
    """A run's next version has the same rows, or says why not."""
    for row in ask(
        "SELECT a.run_id, a.version, a.rows_sha256 = b.rows_sha256 AS same, a.difference FROM rerank.publication a"
        " JOIN rerank.publication b ON b.run_id = a.run_id AND b.version = a.version - 1"
    ):
        if row["same"] == (row["difference"] is not None) or "unexplained" in (row["difference"] or ""):
            yield f"run {row['run_id']} v{row['version']}: same rows {row['same']}, difference {row['difference']!r}"


def _gate(ask: _Asker) -> Iterator[str]:
    """Every engine of a fire scores as it should: there is nothing that the gate may block."""
    for row in ask("SELECT run_id, sentence FROM rerank.gate WHERE verdict = 'blocked' ORDER BY gate_id"):
        yield f"run {row['run_id']} was blocked by the gate: {row['sentence']}"


def _late(ask: _Asker, log: Path) -> Iterator[str]:
    """Each run has a page when that is due, or the page before says that it is overdue.

    A busy machine may take longer than GRACE_SECONDS for a late page; but not until the articles are prepared.
    """
    seen: set[str] = set()
    for told in _lines(log):
        if told["key"] in seen:  # it was played again
            continue
        seen.add(told["key"])
        run = ask.one(
            "SELECT run_id, EXTRACT(EPOCH FROM prepared_at)::float8 AS prepared, EXTRACT(EPOCH FROM overdue_at)::float8 AS overdue,"
            " (SELECT EXTRACT(EPOCH FROM min(p.published_at))::float8 FROM rerank.publication p WHERE p.run_id = r.run_id) AS out"
            " FROM rerank.run r WHERE r.key = %s",
            told["key"],
        )
        out = min((moment for moment in (run["out"], run["overdue"]) if moment is not None), default=math.inf)
        late = out - told["due"]
        if late > GRACE_SECONDS and out > (run["prepared"] or 0):
            yield f"run {run['run_id']} ({told['key']}) had no page at its deadline; it had one {late:.1f} s later"


def _pointer(ask: _Asker) -> Iterator[str]:
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


def _last_page(ask: _Asker, rankings: dict[int, list[dict[str, Any]]]) -> Iterator[str]:
    """Rank the newest page again from revisions and ledger: the same articles in the same order."""
    (page,) = ask("SELECT p.* FROM rerank.pointer JOIN rerank.publication p USING (publication_id)")
    run = ask.one("SELECT * FROM rerank.run WHERE run_id = %s", page["run_id"])
    members: dict[int, list[dict[str, Any]]] = defaultdict(list)  # of each cluster, the earliest first
    leaders = _leaders(ask)
    for row in ask(
        "SELECT r.document_id, r.article_id, r.first_ingested_at, r.published_at"
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
    topics = ask(
        "SELECT t.slug, t.state, t.scorer_id, v.top_k, v.half_life_hours, q.query_id FROM rerank.ranking_topic t"
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
                due[leader] = _real(logits[leader]) - math.log(2) * age / topic["half_life_hours"]
        mine = [row for row in rankings[page["publication_id"]] if row["slug"] == topic["slug"]]
        shown = [leaders.get(row["document_id"], row["document_id"]) for row in mine]
        # A deleted article may be hidden or kept: that is a setting.
        alive = {
            leader
            for leader, articles in members.items()
            if any(one["article_id"] in here for one in articles)
        }
        kept = _best(due, topic["top_k"])
        hidden = _best({leader: score for leader, score in due.items() if leader in alive}, topic["top_k"])
        if not any(_equal([due.get(leader) for leader in shown], best) for best in (kept, hidden)):
            lacking = sorted(due.keys() & alive - set(shown), key=due.__getitem__, reverse=True)
            names = [row["article_id"] for row in mine]
            left = [members[leader][0]["article_id"] for leader in lacking]
            yield f"{topic['slug']}: the last page shows {names[:9]}…, and not {left[:9]}…"
        for row, leader in zip(mine, shown, strict=True):
            there = len(members.get(leader, ()))
            if not 1 <= row["copies"] <= there:
                yield f"{topic['slug']}: {row['article_id']} counts {row['copies']} copies of {there}"


def _hints(ask: _Asker, rankings: dict[int, list[dict[str, Any]]], store: Path) -> Iterator[str]:
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
        due = [(row["rank"], row["article_id"], _plain(row["logit"])) for row in rows if row["slug"] == slug]
        shown = [(row["rank"], row["article_id"], _plain(row["logit"])) for row in told["articles"]]
        if shown != due:
            yield f"the JSON page of {slug} shows {shown[:3]}…, the table {due[:3]}…"


def _best(scores: dict[str, float], limit: int) -> list[float]:
    return sorted(scores.values(), reverse=True)[:limit]


def _equal(found: list[float | None], due: list[float]) -> bool:
    if len(found) != len(due):
        return False
    return all(one is not None and abs(one - other) < 1e-7 for one, other in zip(found, due, strict=True))


# ── Readers ─────────────────────────────────────────────────────────────────────────────────────


def _pages(ask: _Asker) -> dict[int, tuple[int, str]]:
    """Rows and digest of each publication, as a reader of the view should see them."""
    pages = {}
    for page in ask("SELECT publication_id, row_count FROM rerank.publication"):
        rows = ask(
            "SELECT slug AS topic, rank, article_id, ranked_by, logit, rank_score FROM rerank.ranking"
            " WHERE publication_id = %s ORDER BY slug, rank",
            page["publication_id"],
        )
        digest = hashlib.sha256(repr([tuple(row.values()) for row in rows]).encode()).hexdigest()
        pages[page["publication_id"]] = (page["row_count"], digest)
    return pages


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)


def _count(path: Path) -> int:
    return sum(1 for _ in _lines(path))


def _views(pages: dict[int, tuple[int, str]], log: Path) -> Iterator[str]:
    before = ""
    for reading in _lines(log):
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


def _files(pages: dict[int, tuple[int, str]], log: Path) -> Iterator[str]:
    for reading in _lines(log):
        if reading["torn"]:
            yield f"a reader of files: {reading['torn']}"
        elif reading["pages"] != 1:
            yield f"a reader was told of {reading['pages']} files at once"
        elif reading["rows"] != pages.get(reading["publication"], (-1, ""))[0]:
            yield f"a reader's file of publication {reading['publication']} had {reading['rows']} rows"


# ── Engine ──────────────────────────────────────────────────────────────────────────────────────


def _engine(ask: _Asker, log: Path, verdict: Verdict) -> Iterator[str]:
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


def _real(number: float) -> float:
    """As a float32 holds it."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _plain(value: Any) -> Any:
    return round(_real(value), 6) if isinstance(value, float) else value
