"""What the oracle asks of claims, texts and counts: every version in one run, every input in one counted bucket."""

from collections import Counter
from collections.abc import Iterator

from faults.asker import Asker


def claims(ask: Asker) -> tuple[list[str], list[str]]:
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


def final_versions(ask: Asker) -> Iterator[str]:
    """Every article in the source is claimed at the version that it ended at."""
    for row in ask(
        "SELECT a.article_id, a.version FROM rerank.article a"
        " WHERE a.ingested_at < (SELECT max(until) FROM rerank.run WHERE claimed_at IS NOT NULL)"
        " AND a.version::text IS DISTINCT FROM"
        " (SELECT r.version FROM rerank.revision r WHERE r.article_id = a.article_id ORDER BY r.number DESC LIMIT 1)"
    ):
        yield f"{row['article_id']} ended at version {row['version']}, which is not its latest revision"


def texts(ask: Asker) -> Iterator[str]:
    """Every revision has kept the text of its version."""
    for row in ask(
        "SELECT r.revision_id FROM rerank.revision r"
        " LEFT JOIN rerank.revision_text t USING (revision_id)"
        " LEFT JOIN fire.version v ON v.article_id = r.article_id AND v.version = r.version"
        " WHERE (t.title, t.body) IS DISTINCT FROM (v.title, v.body)"
    ):
        yield f"revision {row['revision_id']} has not the text that its version had"


def unprepared(ask: Asker) -> Iterator[str]:
    """Every claimed revision is a document, or in quarantine."""
    for row in ask(
        "SELECT r.revision_id FROM rerank.revision r"
        " WHERE r.document_id IS NULL AND NOT EXISTS"
        " (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id)"
    ):
        yield f"revision {row['revision_id']} was claimed and never prepared"


def twice(ask: Asker) -> Iterator[str]:
    """No version of an article is in two runs."""
    for row in ask(
        "SELECT article_id, version, array_agg(run_id ORDER BY run_id)::text AS runs FROM rerank.revision"
        " GROUP BY pipeline, article_id, version HAVING count(*) > 1"
    ):
        yield f"{row['article_id']} at version {row['version']} is in runs {row['runs']}"


def stale(ask: Asker) -> Iterator[str]:
    """No overtaken try has committed."""
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


def counts(ask: Asker) -> Iterator[str]:
    """Every input is in one counted bucket: source rows of a claim, revisions of a stage, documents of a topic's window."""
    for row in ask(
        "SELECT r.run_id, r.sighted, r.claimed, count(v.revision_id) AS revisions,"
        " r.claimed + r.unchanged + r.too_late + r.later + r.invalid + COALESCE(r.forgotten, 0) AS told"
        " FROM rerank.run r LEFT JOIN rerank.revision v USING (run_id) WHERE r.claimed_at IS NOT NULL GROUP BY r.run_id"
    ):
        if row["sighted"] != row["told"]:
            yield f"run {row['run_id']} has seen {row['sighted']} rows and tells of {row['told']}"
        if row["claimed"] != row["revisions"]:
            yield f"run {row['run_id']} has claimed {row['claimed']} and has {row['revisions']} revisions"
    for row in ask(
        "SELECT r.revision_id FROM rerank.revision r JOIN rerank.quarantine q USING (revision_id)"
        " WHERE q.stage = 'prepare' AND r.document_id IS NOT NULL"
    ):
        yield f"revision {row['revision_id']} is a document, and in quarantine"
    for row in ask(
        "SELECT run_id, sum(value) FILTER (WHERE name = 'revisions') AS revisions,"
        " sum(value) FILTER (WHERE name IN ('documents', 'copies', 'quarantined')) AS told"
        " FROM rerank.run_metric WHERE stage = 'prepare' GROUP BY run_id"
    ):
        if row["revisions"] != row["told"]:
            yield f"run {row['run_id']} has prepared {row['revisions']} revisions and tells of {row['told']}"
    for row in ask(
        "SELECT run_id, array_agg(DISTINCT wanted + carried + ineligible + not_searched + not_recalled"
        " + not_recalled_language) AS told FROM rerank.run_topic WHERE selected GROUP BY run_id"
    ):
        if len(row["told"]) != 1:
            yield f"the topics of run {row['run_id']} tell of {row['told']} documents of one window"
