"""A newsroom with a history for the pages to show: four runs of the sample, one of them degraded, and a second pipeline."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from factories import FakeEngines, Newsroom, make_topic

from rerank_core.demo.airflow import REPOSITORY
from rerank_core.errors import BlockedError
from rerank_core.extract.articles import load_articles
from rerank_core.settings import Settings
from rerank_core.storage import runs, topics

SAMPLE = REPOSITORY / "rerank_core" / "demo" / "sample"
KEYS = ("2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z")
BIG = {"pairs_per_chunk": 60}  # fewer transactions

# Strings that break out of a page that does not escape them. Each calls `hit()` where it is executed.
HOSTILE = (
    "<script>hit()</script>",
    "</title></textarea></style></noscript><script>hit()</script>",
    "<img src=x onerror=hit()>",
    "<svg/onload=hit()>",
    '"><svg onload=hit()>',
    "' onmouseover='hit()' autofocus onfocus='hit()' x='",
    '" autofocus onfocus="hit()" x="',
    "<iframe srcdoc='<script>parent.hit()</script>'></iframe>",
    '<math><mtext></p><style><!--</style><img title="--><img src=x onerror=hit()>">',
    "{{ 7 * 7 }}{% for x in range(9) %}boo{% endfor %}${7*7}",
    "javascript:hit()",
    "]]><!--<details open ontoggle=hit()>",
    "&lt;script&gt;hit()&lt;/script&gt; &amp;amp; &#60;b&#62;",
    "</td></tr></table></main><h1>torn</h1>",
    "\u202eright to left override\u202c \u2066isolate",
    "Z\u0336\u0335a\u0336\u0322\u0321l\u0337\u0338g\u0338\u0321o\u0338 "
    + "H\u0310\u0311\u0312\u0313\u0314\u0315" * 12,
    "unbroken" * 90,
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1e8\U0001f1f3 emoji \U0001f9d1\U0001f3ff\u200d\U0001f680",
    "خطة الذكاء الاصطناعي الجديدة في الصين (2030) AI-policy!",
    "עברית mixed with English and 123",
    "国务院印发《新一代人工智能发展规划》：2030年目标公布，中国要成为世界主要人工智能创新中心",
    "tab\tand\u2028line\u2029separators\u0085here",
)
URLS = (
    "javascript:hit()",
    "JaVaScRiPt:hit()",
    " javascript:hit()",
    "data:text/html,<script>parent.hit()</script>",
    "vbscript:hit()",
    'https://example.org/" onclick="hit()',
    "https://example.org/'><script>hit()</script>",
    "//example.org/x",
    'https://例子.example/路径?q=<script>hit()</script>#">',
    "http://[",
)


def sample_room(
    database_url: str, store_url: str, engines: FakeEngines, *, keys: Sequence[str] = KEYS
) -> Newsroom:
    """The sample's topics and articles, ranked by four runs: a first one, a degraded one, its healing, a last one."""
    room = Newsroom(Settings.load(database_url=database_url, store_url=store_url), engines)
    room.follow(*topics.load_topics(SAMPLE / "topics.yaml"))
    load(room, "articles.jsonl", hours_ago=2)
    first, degraded, healed, last = keys
    engines.options = BIG
    room.run(first, until=room.ago(hours=6))
    engines.options = {"pairs_per_chunk": 4, "fail_at_chunk": 2}
    room.run(degraded, until=room.ago(hours=4))
    engines.options = BIG
    room.run(healed, until=room.ago(hours=1.9))
    load(room, "more_articles.jsonl", hours_ago=0.1)
    room.add("…", "Obituary", ingested_at=room.ago(minutes=9), body="<p> </p>", source="Bayside Herald")
    engines.options = {**BIG, "refuse_text": "Chip alliance"}
    room.run(last, until=room.now)
    engines.options = {}
    give_latencies(room)
    return room


def give_latencies(room: Newsroom) -> None:
    """The fake engine takes no time: give each pair a model's."""
    room.sql(
        "UPDATE rerank.pair_score SET latency_ms = 14 + (document_id * 7 + query_id * 13 + run_id * 3) % 11 + 40 * (document_id % 97 / 96)"
    )
    for (run_id,) in room.sql("SELECT run_id FROM rerank.run ORDER BY run_id"):
        with room.database.transaction(read_only=True) as connection:
            run = runs.get(connection, run_id)
        room.stage("observe", run)


def load(room: Newsroom, name: str, *, hours_ago: float) -> None:
    """Load a file of the sample, its newest article published and ingested this long ago."""
    load_articles(room.database, SAMPLE / name, published_now=True)
    room.sql(
        "UPDATE rerank.article SET published_at = published_at - CAST(:ago AS interval),"
        " ingested_at = published_at - CAST(:ago AS interval) WHERE ingested_at > :now",
        ago=f"{hours_ago} hours",
        now=room.now,
    )


def shadow_room(room: Newsroom) -> Newsroom:
    """A second pipeline on the same articles, ranked by another scorer."""
    shadow = room.tuned(pipeline="shadow")
    shadow.engines.name, shadow.engines.options = "fake-shadow", BIG
    shadow.follow(*topics.load_topics(SAMPLE / "topics.yaml"))
    shadow.run("shadow-1")
    shadow.engines.name, shadow.engines.options = "fake", {}
    return shadow


def gated_room(room: Newsroom) -> Newsroom:
    """A pipeline whose second run is blocked: its model gave every pair the same logit."""
    gated = room.tuned(pipeline="gated")
    gated.follow(*topics.load_topics(SAMPLE / "topics.yaml"))
    gated.engines.name, gated.engines.options = "fake-gated", BIG
    gated.run("gated-1", until=room.ago(hours=12))
    gated.engines.options = {**BIG, "constant": 0.25}
    with suppress(BlockedError):
        gated.run("gated-2")
    gated.engines.name, gated.engines.options = "fake", {}
    return gated


def hostile_room(room: Newsroom, strings: Iterable[str] = ()) -> Newsroom:
    """A pipeline whose articles and topics are hostile wherever text can stand."""
    hostile = room.tuned(pipeline="hostile", source_view="rerank.hostile_article", fill_factor=1)
    room.sql("CREATE TABLE IF NOT EXISTS rerank.hostile (LIKE rerank.article INCLUDING ALL)")
    room.sql(
        "CREATE OR REPLACE VIEW rerank.hostile_article AS SELECT article_id, version::text AS version, ingested_at,"
        " url, title, summary, body, lang, source, published_at FROM rerank.hostile"
    )
    strange = list(strings)
    texts = [*HOSTILE, *strange]
    room.sql(
        "INSERT INTO rerank.hostile (article_id, version, ingested_at, url, title, summary, body, source)"
        " SELECT id, 1, :at, url, title, summary, body, source"
        " FROM unnest(CAST(:ids AS text[]), CAST(:urls AS text[]), CAST(:titles AS text[]), CAST(:texts AS text[]),"
        " CAST(:bodies AS text[]), CAST(:texts AS text[])) AS h (id, url, title, summary, body, source)",
        at=room.ago(minutes=20),
        ids=[f"{number} {text}"[:400] for number, text in enumerate(texts)],
        urls=[URLS[number % len(URLS)] for number in range(len(texts))],
        # The cleaning of titles takes tags away: one in three is escaped first, so that what is left is a tag.
        titles=[
            ("solar " + (text.replace("<", "&lt;") if number % 3 else text))[:900]
            for number, text in enumerate(texts)
        ],
        texts=texts,
        bodies=[f"solar {text} <p>{text}</p> {text.replace('<', '&lt;')}" for text in texts],
    )
    hostile.follow(
        make_topic(slug="solar", query="solar", top_k=100, candidate_limit=1000),
        *(
            make_topic(
                slug=f"hostile-{number}",
                query=f"solar {text}"[:800],
                instruction=f"judge {text}"[:800],
                candidate_limit=20,
            )
            for number, text in enumerate(HOSTILE)
        ),
        *(
            make_topic(
                slug=f"strange-{number}",
                query=f"solar {text}"[:800],
                instruction=f"judge {text}"[:800],
                candidate_limit=1,
            )
            for number, text in enumerate(strange)
        ),
    )
    hostile.run('hostile "><script>hit()</script>')
    hostile.engines.options = {}
    return hostile


def every_room(database_url: str, store_url: str) -> SimpleNamespace:
    """Four pipelines with a history in one database: room, shadow, hostile and gated."""
    engines, undo = installed_engines()
    room = sample_room(database_url, store_url, engines)
    found = SimpleNamespace(
        room=room, shadow=shadow_room(room), hostile=hostile_room(room), gated=gated_room(room)
    )
    undo()
    return found


def wide_room(room: Newsroom, *, topics_wanted: int = 200, rows: int = 50) -> Newsroom:
    """A pipeline with one publication of many rows, copied from nowhere: made by SQL, not ranked."""
    wide = room.tuned(pipeline="wide")
    wide.follow(
        *(make_topic(slug=f"topic-{number:04}", query=f"query {number}") for number in range(topics_wanted))
    )
    for hour in (2, 1):
        run = wide.open(f"wide-{hour}", until=room.now - timedelta(hours=hour))
        room.sql(_WIDE, run_id=run.run_id, rows=rows, path=f"wide/{run.run_id}.parquet")
    return wide


_WIDE = """
WITH published AS (
    INSERT INTO rerank.publication (pipeline, run_id, version, fence, as_of, parquet_path, parquet_sha256, rows_sha256, row_count, degraded)
    SELECT pipeline, run_id, 1, fence, until, :path, '', '', 0, false FROM rerank.run WHERE run_id = :run_id
    RETURNING *
), standing AS (
    INSERT INTO rerank.ranking_topic (publication_id, slug, topic_version_id, scorer_id, state, candidates, from_ledger, scored, refused, missing, left_out, ranked)
    SELECT p.publication_id, t.slug, v.topic_version_id, NULL, 'full', :rows, 0, :rows, 0, 0, 0, :rows
    FROM published p JOIN rerank.topic t USING (pipeline) JOIN rerank.topic_version v USING (topic_id)
), ranked AS (
    INSERT INTO rerank.ranking (publication_id, slug, rank, article_id, revision_id, document_id, topic_version_id, scorer_id, ranked_by,
                                logit, rank_score, light_score, truncated, is_new, copies, title, url, source, lang, published_at, first_ingested_at)
    SELECT p.publication_id, t.slug, n, t.slug || '-' || (n + p.run_id) % 60, n, n, v.topic_version_id, 1, 'model',
           8 - n / 5.0, 8 - n / 5.0 - 1, 3, false, n % 7 = 0, 1 + n % 3, 'Article ' || n || ' of ' || t.slug || ' 新闻标题在这里',
           'https://news.example/' || n, 'source ' || n % 9, CASE WHEN n % 2 = 0 THEN 'en' ELSE 'zh' END, p.as_of - n * interval '10 min', p.as_of - n * interval '10 min'
    FROM published p JOIN rerank.topic t USING (pipeline) JOIN rerank.topic_version v USING (topic_id) CROSS JOIN generate_series(1, :rows) n
), pointed AS (
    INSERT INTO rerank.pointer (pipeline, publication_id) SELECT pipeline, publication_id FROM published
    ON CONFLICT (pipeline) DO UPDATE SET publication_id = EXCLUDED.publication_id
), moved AS (
    INSERT INTO rerank.pointer_move (pipeline, to_publication_id, reason) SELECT pipeline, publication_id, 'test' FROM published
)
UPDATE rerank.run SET published_at = now(), claimed_at = now(), claimed = 0 WHERE run_id = :run_id
"""


def installed_engines() -> tuple[FakeEngines, Callable[[], None]]:
    """Fake engines for more than one test, and what takes them away again."""
    patch = pytest.MonkeyPatch()
    engines = FakeEngines()
    engines.install(patch)
    return engines, patch.undo


def adversarial_strings(folder: Path) -> list[str]:
    """Strings of the public collections, where they are here: naughty strings, what a sanitizer is tested with, and
    what is injected into prompts."""
    naughty = json.loads((folder / "blns" / "blns.json").read_text(encoding="utf-8"))
    cases = json.loads((folder / "dompurify" / "expect.json").read_text(encoding="utf-8"))
    injections = [
        text
        for name in ("text_attack_test", "code_attack_test")
        for of_class in json.loads((folder / "bipia" / f"{name}.json").read_text(encoding="utf-8")).values()
        for text in of_class
    ]
    found = [*naughty, *(case["payload"] for case in cases), *injections]
    return [text.replace("\0", "") for text in found if isinstance(text, str) and text.strip("\0 \n")]


__all__ = [
    "HOSTILE",
    "KEYS",
    "SAMPLE",
    "adversarial_strings",
    "every_room",
    "gated_room",
    "hostile_room",
    "installed_engines",
    "sample_room",
    "shadow_room",
    "wide_room",
]
