"""Those who write into the source and those who read the page, all the time, each in a process of its own."""

import hashlib
import io
import itertools
import json
import os
import random
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.parquet as pq

from faults import oracle_news

PAGE = (
    "SELECT publication_id, run_id, version, as_of, topic, rank, article_id, ranked_by, logit, rank_score,"
    " moved_by, moved FROM rerank.current_ranking WHERE pipeline = 'news' ORDER BY topic, rank"
)
POINTED = (
    "SELECT DISTINCT publication_id, run_id, version, parquet_path, parquet_sha256"
    " FROM rerank.current_topic WHERE pipeline = 'news'"
)
LOST = "57P02"  # the server goes down; a connection that is lost already has no code at all
PASSING = (LOST[:2], "53")  # classes of errors that pass: the server goes down, or its disk is full
OUT = (
    "SELECT r.key, r.prepared_at IS NOT NULL AS prepared, r.overdue_at IS NOT NULL AS overdue,"
    " EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = r.run_id) AS page FROM rerank.run r"
)
PAUSE = 0.02  # seconds between two looks
WORDS = (
    "harbour ledger meadow copper signal garden winter canvas thread market engine valley silver bridge paper"
    " forest candle ocean temple orchard window desert violin marble lantern compass feather granite island"
    " journal kettle ladder mirror needle oyster pebble quarry ribbon saddle timber umbrella velvet walnut"
    " anchor basket cradle dagger ember falcon goblet hammer ivory jacket kernel locket magnet nectar opal"
).split()
SUBJECTS = ("solar", "wind", "rain")
SICK = "pathological"  # the first word of a title whose article no helper comes to an end with: nobody edits or reprints it


def text_of(rng: random.Random, subject: str, *, words: int = 46) -> str:
    """Text that mentions its subject, and is far from every other text."""
    return f"{subject} " + " ".join(rng.choice(WORDS) + str(rng.randrange(900)) for _ in range(words))


def write(dsn: str, seed: int, folder: Path, pause: float = 0.03) -> None:
    """Insert late and out of order, edit there and back, delete and roll back, until the file `quiet` is there.

    `pause` is in seconds, between two changes.
    """
    rng = random.Random(seed)
    numbers = itertools.count(1)
    ended = until(folder / "quiet")

    def busy(connection: Any) -> None:
        ids = _ids(connection)
        while not ended():
            what = rng.choices((_insert, _reprint, _edit, _delete, _undo), (57, 8, 25, 3, 7))[0]
            what(connection, rng, ids, f"w{seed}-{next(numbers)}")
            time.sleep(pause)

    connected(dsn, ended, busy)


def _insert(connection: Any, rng: random.Random, ids: list[str], article_id: str) -> None:
    subject = rng.choice(SUBJECTS)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rerank.article (article_id, title, body, lang, ingested_at, source)"
            " VALUES (%s, %s, %s, 'en', now() - %s * interval '1 second', 'agency ' || right(%s, 1))",
            (
                article_id,
                f"{subject} {article_id}",
                text_of(rng, subject),
                rng.choice((0, 0, 0, 3600)),
                article_id,
            ),
        )
    time.sleep(rng.choice((0.0, 0.0, 0.02, 0.25)))  # so that it commits after younger ones
    connection.commit()
    ids.append(article_id)


def _reprint(connection: Any, rng: random.Random, ids: list[str], article_id: str) -> None:
    """Another source's print of an article: a near-copy, or its very text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rerank.article (article_id, title, body, lang, source, ingested_at)"
            " SELECT %s, title, body || %s, lang, 'reprints', now() - %s * interval '1 second'"
            " FROM rerank.article WHERE article_id = %s RETURNING article_id",
            (article_id, rng.choice(("", " as told elsewhere")), rng.choice((0, 0, 3600)), rng.choice(ids)),
        )
        ids += [row[0] for row in cursor.fetchall()]  # the other one may be gone
    connection.commit()


def _edit(connection: Any, rng: random.Random, ids: list[str], _: str) -> None:
    """From A to B and back to A."""
    article_id = rng.choice(ids)
    with connection.cursor() as cursor:
        cursor.execute("SELECT title FROM rerank.article WHERE article_id = %s", (article_id,))
        found = cursor.fetchone()
        for title in ("corrected " + found[0], found[0]) if found else ():
            cursor.execute("UPDATE rerank.article SET title = %s WHERE article_id = %s", (title, article_id))
            connection.commit()
            time.sleep(rng.choice((0.0, 0.15)))
    connection.commit()


def _delete(connection: Any, rng: random.Random, ids: list[str], _: str) -> None:
    if len(ids) > 20:
        with connection.cursor() as cursor:
            article_id = ids.pop(rng.randrange(len(ids)))
            cursor.execute("DELETE FROM rerank.article WHERE article_id = %s", (article_id,))
    connection.commit()


def _undo(connection: Any, rng: random.Random, ids: list[str], article_id: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rerank.article (article_id, title) VALUES (%s, 'never committed')", (article_id,)
        )
    connection.rollback()


def add(dsn: str, rng: random.Random, articles: int, *, title: str = "") -> None:
    """New articles, so that there is something to claim and to score; their titles begin with this."""
    with closing(psycopg2.connect(dsn, application_name="fire")) as connection, connection.cursor() as cursor:
        for _ in range(articles):
            subject = rng.choice(SUBJECTS)
            name = f"{subject} {rng.getrandbits(40):x}"
            cursor.execute(
                "INSERT INTO rerank.article (article_id, title, body, lang) VALUES (%s, %s, %s, 'en')",
                (name, title + name, text_of(rng, subject)),
            )
        connection.commit()


def _ids(connection: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT article_id FROM rerank.article WHERE title NOT LIKE %s ORDER BY article_id", (f"{SICK}%",)
        )
        found = [row[0] for row in cursor.fetchall()]
    connection.commit()
    return found


def read_views(dsn: str, folder: Path) -> None:
    """Poll the view until the file `closed` is there, and log whose page was seen: identities, rows, digest."""
    ended = until(folder / "closed")
    with (folder / "views.log").open("w") as log:

        def look(connection: Any) -> None:
            connection.autocommit = True
            while not ended():
                with connection.cursor() as cursor:
                    cursor.execute(PAGE)
                    rows = cursor.fetchall()
                identities = sorted({(row[0], row[1], row[2], row[3].isoformat()) for row in rows})
                _say(log, seen=identities, rows=len(rows), digest=digest_of([row[4:] for row in rows]))
                time.sleep(PAUSE)

        connected(dsn, ended, look)


def read_files(dsn: str, store: Path, folder: Path) -> None:
    """Follow the pointer to the Parquet file until `closed` is there, as a frontend does, and log what it held."""
    ended = until(folder / "closed")
    with (folder / "files.log").open("w") as log:

        def look(connection: Any) -> None:
            read: dict[Path, tuple[int, ...]] = {}  # what is as it was when it was read is not parsed again
            page: tuple[Any, ...] = ()
            found: dict[str, Any] = {}
            connection.autocommit = True
            while not ended():
                with connection.cursor() as cursor:
                    cursor.execute(POINTED)
                    named = cursor.fetchall()
                for publication_id, run_id, version, path, sha256 in named:
                    is_now = (publication_id, run_id, version, sha256, *_stamp(store / path))
                    if is_now != page:
                        found = _look(store / path, sha256, {(run_id, version)})
                        page = is_now
                    _say(log, pages=len(named), publication=publication_id, **found)
                stamps = {hint: _stamp(hint) for hint in _hints(store)}
                for hint in [one for one in stamps if read.get(one) != stamps[one]]:
                    _say_if(log, oracle_news.torn(hint))
                if stamps != read:
                    _say_if(log, oracle_news.mixed(store, "news"))
                    read = stamps
                time.sleep(PAUSE)

        connected(dsn, ended, look)


def watch_runs(dsn: str, folder: Path) -> None:
    """Note in runs.log when each run was first seen to be prepared, said to be overdue, and to have a page.

    No clock of the library or of the database counts, but that of this machine which no fault can set.
    """
    ended = until(folder / "closed")
    seen: set[tuple[str, str]] = set()
    with (folder / "runs.log").open("a") as log:

        def look(connection: Any) -> None:
            connection.autocommit = True
            while not ended():
                with connection.cursor() as cursor:
                    cursor.execute(OUT)
                    rows = cursor.fetchall()
                for key, *reached in rows:
                    for what, has in zip(("prepared", "overdue", "page"), reached, strict=True):
                        if has and (key, what) not in seen:
                            seen.add((key, what))
                            _say(log, key=key, what=what, moment=time.monotonic())
                time.sleep(5 * PAUSE)

        connected(dsn, ended, look)


def _say_if(log: Any, torn: str | None) -> None:
    if torn is not None:
        _say(log, pages=1, publication=0, rows=0, torn=torn)


def _hints(store: Path) -> list[Path]:
    """Every JSON file and feed of the store."""
    return [
        Path(folder) / name
        for folder, _, names in os.walk(store)
        for name in names
        if name.endswith((".json", ".xml"))
    ]


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is written; empty if it is not there."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return ()


def _look(path: Path, sha256: str, expected: set[tuple[int, int]]) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        table = pq.read_table(io.BytesIO(content))
    except Exception as error:
        return {"rows": 0, "torn": f"{type(error).__name__}: {error}"}
    told = set(zip(table.column("run_id").to_pylist(), table.column("version").to_pylist(), strict=True))
    if found != sha256 or (told and told != expected):
        return {"rows": table.num_rows, "torn": f"sha256 {found[:8]}, not {sha256[:8]}; pages {told}"}
    return {"rows": table.num_rows, "torn": ""}


def digest_of(rows: list[tuple[Any, ...]]) -> str:
    """One digest of rows as psycopg2 gives them."""
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def until(file: Path) -> Callable[[], bool]:
    """Whether the file is there, or the fire is gone, when it is asked."""
    parent = os.getppid()
    return lambda: file.exists() or os.getppid() != parent


def connected(dsn: str, ended: Callable[[], bool], work: Callable[[Any], None]) -> None:
    """Work on a connection, and on another one whenever it is lost, until it has ended."""
    while not ended():
        try:
            with closing(psycopg2.connect(dsn, application_name="fire")) as connection:
                try:
                    work(connection)
                except psycopg2.Error as error:
                    if (error.pgcode or LOST)[:2] not in PASSING:
                        raise
        except psycopg2.OperationalError:
            time.sleep(0.02)


def _say(log: Any, **values: Any) -> None:
    log.write(json.dumps(values) + "\n")
    log.flush()
