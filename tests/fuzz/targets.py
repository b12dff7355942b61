"""The targets: what is drawn for each, and what must hold of each input.

An input is bytes, so that a file holds it whole. A target raises Finding if its input breaks a promise; every other
exception that comes out of it is a crash, and so is a finding too. `Clock` bounds the processor time of an input.
"""

import gzip
import json
import signal
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import made_fragments
import yaml

from fuzz import drawn
from rerank_core.errors import RerankError
from rerank_core.prepare import documents, helper
from rerank_core.prepare.cleaning import Cleaning, Tally
from rerank_core.prepare.near_copies import signature
from rerank_core.prepare.story import Story
from rerank_core.prepare.veto import veto

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "rerank_core" / "demo" / "sample"
SHARED = ROOT.parent / "shared" / "data"  # collections that may be beside the repository
MOST = 3_000_000  # bytes of an input
LARGE = 300_000  # bytes of an input that repeats a piece
FIELDS = ("title", "summary", "body")
PREPARE_SECONDS = 10.0  # the default of RERANK_PREPARE_SECONDS
READ_SECONDS = 5.0
PAIR_SECONDS = 1.0
NEAR = 0.7  # the default of RERANK_SYNDICATION_SIMILARITY
SUSPECT_SECONDS, SUSPECT_PACE = (
    0.1,
    15e-6,
)  # a repeated text that takes longer, in all and for each character, is drawn out


class Finding(Exception):
    """An input breaks a promise."""


class Overtime(BaseException):
    """An input takes too long. No handler of exceptions in between takes it for its own."""


@contextmanager
def clock(seconds: float) -> Iterator[None]:
    """Raise Finding if the block takes more processor time than this. A block within native code ends late."""

    def over(number: int, frame: Any) -> None:
        raise Overtime

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    begun = time.process_time()
    try:
        yield
        took = time.process_time() - begun
    except Overtime as error:
        raise Finding(f"more than {seconds:g} s of processor time") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    if took > seconds:
        raise Finding(f"{took:.1f} s of processor time, more than {seconds:g} s")


@dataclass(frozen=True)
class Target:
    """What is fuzzed."""

    name: str
    draw: Callable[[Random], bytes]
    check: Callable[[bytes], None]
    seconds: float
    dictionary: Sequence[bytes] = field(default=(), repr=False)
    follow: Callable[[bytes, Random], bytes] | None = None

    def change(self, content: bytes, random: Random) -> bytes:
        """An input that is like this one."""
        if self.follow is not None:
            return self.follow(content, random)
        return drawn.changed(random, content, self.dictionary or drawn.as_bytes(), most=MOST)

    def run(self, content: bytes) -> None:
        """Raise whatever is wrong with the product on this input."""
        with clock(self.seconds):
            self.check(content)


# ── Prepare ─────────────────────────────────────────────────────────────────────────────────────────


@cache
def _rules() -> list[str]:
    """The words of the rules of boilerplate."""
    folder = ROOT / "rerank_core" / "prepare" / "rules"
    lines = [
        line for file in sorted(folder.glob("*.txt")) for line in file.read_text(encoding="utf-8").split("\n")
    ]
    return [line for line in lines if line and not line.startswith(("//", "["))]


@cache
def _ordinary() -> list[str]:
    """Pages, fragments and texts that newsrooms send, and strings that were collected to break programs."""
    found = [
        json.loads(line).get("body") or ""
        for line in (SAMPLE / "articles.jsonl").read_text("utf-8").splitlines()
    ]
    for file in sorted((SHARED / "html").rglob("*.html.gz"))[:30]:
        found.append(gzip.decompress(file.read_bytes()).decode("utf-8", "replace"))
    for name in ("en_reuters21578", "zh_broadcast_2024-10_2025-10"):
        file = SHARED / "news" / f"{name}.jsonl.gz"
        if file.exists():
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                found += [
                    json.loads(line).get("body") or "" for line, _ in zip(lines, range(200), strict=False)
                ]
    naughty = SHARED / "adversarial" / "blns" / "blns.json"
    if naughty.exists():
        import newsrooms

        found += newsrooms.adversarial_strings(SHARED / "adversarial")
    return [text for text in found if text]


def article(**fields: Any) -> bytes:
    """An article as an input of `prepare`: title, summary, body, lang; `words` of a field must all be in its text."""
    return json.dumps(fields).encode()


def draw_article(random: Random) -> bytes:
    """An article: fragments whose words are known, repeated pieces, or ordinary texts that were changed."""
    fields: dict[str, Any] = {"lang": drawn.language(random)}
    kind = random.random()
    if kind < 0.5:
        fields["words"] = {}
        for name in FIELDS:
            if random.random() < 0.6 or name == "body":
                fields[name], fields["words"][name] = made_fragments.made(random)
        return article(**fields)
    pieces = [*drawn.pieces("markup"), *drawn.odd(), *random.sample(_rules(), 20)]
    if kind < 0.8:
        length = int(10 ** random.uniform(2, 4.7))
        chosen = random.sample(pieces, random.randint(1, 3))
        start = random.choice(
            ("", "", "<p>", "<html><title>t</title><body>", "Words of a title. ", "<ul>", "\n")
        )
        fields[random.choice(FIELDS)] = start + drawn.pumped(random, chosen, length=length)
        return article(**fields)
    for name in FIELDS:
        if random.random() < 0.6 or name == "body":
            fields[name] = _changed_text(random, random.choice(_ordinary()), pieces)
    return article(**fields)


def _changed_text(random: Random, text: str, pieces: Sequence[str]) -> str:
    dictionary = [piece.encode("utf-8", "surrogatepass") for piece in pieces]
    start = random.randint(0, max(0, len(text) - 40_000))
    content = text[start : start + 40_000].encode("utf-8", "surrogatepass")
    return drawn.changed(random, content, dictionary, most=MOST).decode("utf-8", "replace")


def change_article(content: bytes, random: Random) -> bytes:
    """An article like this one; its words are not known any more."""
    try:
        fields = json.loads(content)
    except ValueError:
        return draw_article(random)
    if not isinstance(fields, dict) or random.random() < 0.3:
        return draw_article(random)
    fields.pop("words", None)
    name = random.choice(FIELDS)
    fields[name] = _changed_text(
        random, fields.get(name) or "", [*drawn.pieces("markup"), *drawn.odd(), *_rules()]
    )
    return article(**fields)


def check_article(content: bytes) -> None:
    """No crash, no time over the bound, no lost letter, and a document that can be stored."""
    try:
        fields = json.loads(content)
        words = fields.pop("words", {})
    except (ValueError, AttributeError):
        return
    begun = time.process_time()
    _prepare(fields)
    took = time.process_time() - begun
    for name, known in words.items():
        check_field(name, fields[name], known)
    length = sum(len(fields.get(name) or "") for name in FIELDS)
    if took > max(SUSPECT_SECONDS, SUSPECT_PACE * length) and length < 500_000:
        # A short text takes long: what does ten times as much of it take?
        _prepare(
            {
                name: _drawn_out(fields.get(name)) if name in FIELDS else value
                for name, value in fields.items()
            }
        )


def _drawn_out(text: str | None) -> str | None:
    """A text with its middle ten times, or what comes to the greatest length that is read."""
    if not text or len(text) < 100:
        return text
    third = len(text) // 3
    return text[:third] + text[third : 2 * third] * min(30, 2_000_000 // third) + text[2 * third :]


def _prepare(fields: dict[str, Any]) -> None:
    counts: Counter[str] = Counter()
    given = {name: fields.get(name) for name in (*FIELDS, "lang")}
    try:
        document = documents.to_document(**given, counts=counts)
    except documents.Unpreparable:
        return
    if "\0" in document.text or len(document.text) > documents.MAX_TEXT or not document.title:
        raise Finding("the document cannot be stored")
    for stored in (document.text, document.title, document.terms):
        stored.encode("utf-8")


def check_field(name: str, raw: str, words: list[str]) -> None:
    """No word of a field is lost, but in lines that the rules of boilerplate take."""
    made_fragments.check(raw, words)
    kept = documents.cleaned(name, raw, cleaning=Cleaning(without=frozenset(("boilerplate",))), tally=Tally())
    made_fragments.check_text(kept, words)
    tally = Tally()
    text = documents.cleaned(name, raw, cleaning=Cleaning(), tally=tally)
    if not tally.lines_removed:
        made_fragments.check_text(text, words)


# ── Files of topics ─────────────────────────────────────────────────────────────────────────────────

_TOPIC_FIELDS = (
    *(
        "slug",
        "query",
        "queries",
        "instruction",
        "languages",
        "must",
        "must_not",
        "candidate_limit",
        "top_k",
        "min_score",
    ),
    *(
        "half_life_hours",
        "max_per_source",
        "diversity",
        "active",
        "Slug",
        "querry",
        "<<",
        "? ",
        "topics",
        "",
        "&a",
        "*a",
    ),
)


# Values that a field may have, at the ends of what it takes.
_LIKELY: dict[str, tuple[Any, ...]] = {
    "half_life_hours": (1, 12.5, 1e-320, 5e-324, 1e-3, 1e308),
    "min_score": (None, -1, 0.5, 1e308, -1e308),
    "max_per_source": (None, 1, 1000),
    "diversity": (0, 0.3, 1, 1e-320),
    "candidate_limit": (1, 1000),
    "top_k": (1, 1000),
    "languages": (["en", "zh"], ["no", "iw"], ["zh-Hant"], []),
    "queries": ({"en": "solar"}, {"zh": "电力", "no": "sol"}, {}),
    "must": (["C++"], ["AI", "电力"], ["کتاب‌ها", "x" * 200], ["(", "[a", "\\"]),
    "must_not": (["C#"], ["'"], ["\u200c"], ["İ"]),
    "active": (True, False),
    "instruction": ("judge", "電" * 2000),
}


def _many(random: Random, unit: bytes) -> bytes:
    return unit * min(int(10 ** random.uniform(0, 5)), LARGE // max(1, len(unit)))


def draw_topics(random: Random) -> bytes:
    """A file of topics: a few with odd values, made of odd pieces, or the sample's file changed."""
    kind = random.random()
    if kind < 0.5:
        made = []
        for number in range(random.randint(0, 5)):
            topic: dict[str, Any] = {
                "slug": f"topic-{number}",
                "query": "solar" if random.random() < 0.7 else drawn.text(random, ("solar", "power"), most=5),
            }
            names = _TOPIC_FIELDS if random.random() < 0.2 else tuple(_LIKELY)
            for name in random.sample(names, random.randint(0, 5)):
                likely = _LIKELY.get(name)
                topic[name] = random.choice(likely) if likely and random.random() < 0.9 else _value(random)
            made.append(topic)
        try:
            return yaml.safe_dump({"topics": made}, allow_unicode=random.random() < 0.5).encode(
                "utf-8", "surrogatepass"
            )
        except Exception:
            kind = 1
    if kind < 0.7:
        pieces = [random.choice(drawn.as_bytes("yaml")) for _ in range(random.randint(1, 3))]
        return b"topics:\n- slug: a\n  query: b\n  " + _many(random, b"".join(pieces))
    return drawn.changed(random, (SAMPLE / "topics.yaml").read_bytes(), drawn.as_bytes("yaml"), most=MOST)


def _value(random: Random, depth: int = 0) -> Any:
    kind = random.randrange(10)
    if kind == 0 and depth < 3:
        return [_value(random, depth + 1) for _ in range(random.randint(0, 4))]
    if kind == 1 and depth < 3:
        return {
            drawn.text(random, ("en", "zh", "a"), most=1): _value(random, depth + 1)
            for _ in range(random.randint(0, 3))
        }
    return random.choice(
        (
            *(
                0,
                1,
                -1,
                7,
                1000,
                1001,
                2**63,
                10**30,
                0.5,
                1e-320,
                5e-324,
                1e308,
                float("inf"),
                float("nan"),
                -0.0,
                True,
                False,
                None,
            ),
            *(["en", "zh"], ["no"], {"en": "a", "zh": "电"}, [], {}, "en", ""),
            *(drawn.text(random, ("solar", "电力", "C++", "AI"), most=4) for _ in range(8)),
        )
    )


class Room:
    """A database and a store for inputs that are loaded; without them, files are only read."""

    def __init__(self, database: Any = None, store: Any = None) -> None:
        self.database, self.store = database, store
        self.folder = Path(tempfile.mkdtemp(prefix="rerank-fuzz-"))

    def file(self, content: bytes, name: str = "input") -> Path:
        """A file with this content."""
        path = self.folder / name
        path.write_bytes(content)
        return path


def check_topics(room: Room, content: bytes) -> None:
    """A file of topics is refused with an InputError, or its topics can be stored, recalled by and ranked by."""
    from rerank_core.prepare.terms import terms
    from rerank_core.recall.filters import has_term
    from rerank_core.storage import topics

    try:
        found = topics.load_topics(room.file(content, "topics.yaml"))
    except RerankError:
        return
    for topic in found:
        for query in (topic.query, topic.instruction, *topic.queries.values()):
            list(terms(query, lang="en"))
        for term in (*topic.must, *topic.must_not):
            has_term("solar power 电力", term)
        if not abs(1e5 / topic.half_life_hours) < float("inf"):
            raise Finding(f"half_life_hours {topic.half_life_hours} makes a rank score infinite")
    if room.database is not None and found:
        with room.database.transaction() as connection:
            topics.apply(connection, "fuzz", found)


# ── Files of articles ───────────────────────────────────────────────────────────────────────────────


_DATES = (1772359200, 1772359200.5, 10**20, -(10**20), 1e308, 0, 253402300800, True, [], {}, None)


def draw_articles(random: Random) -> bytes:
    """Lines of articles with odd values, packed or not, whole or not."""
    lines = []
    for _ in range(random.randint(0, 6)):
        row: dict[str, Any] = {
            random.choice(("article_id", "id")): random.choice(
                ("a", "b", 1, "", " ", "x" * 501, None, [], 1.5)
            )
        }
        for name in random.sample(
            (
                "title",
                "url",
                "summary",
                "body",
                "body_html",
                "text",
                "lang",
                "source",
                "published_at",
                "extra",
            ),
            random.randint(0, 5),
        ):
            row[name] = (
                random.choice((*drawn.pieces("dates"), *_DATES))
                if name == "published_at"
                else random.choice((drawn.text(random, ("a", "电"), most=5), 1, None, ["a"]))
            )
        lines.append(json.dumps(row, ensure_ascii=random.random() < 0.7).encode("utf-8", "surrogatepass"))
    content = random.choice((b"\n", b"\n", b"\r\n", b"\n\n")).join(lines) + random.choice((b"", b"\n"))
    if random.random() < 0.3:
        content = _many(random, random.choice(drawn.as_bytes("json"))) + content
    if random.random() < 0.5:
        content = drawn.changed(random, content, drawn.as_bytes("json"), most=MOST)
    return _packed(random, content)


def _packed(random: Random, content: bytes) -> bytes:
    """The content, or gzip of it, perhaps of two members, cut off or damaged."""
    kind = random.random()
    if kind < 0.8:
        return content
    packed = gzip.compress(content, mtime=0)
    if kind < 0.9:
        return drawn.changed(random, packed, drawn.as_bytes(), most=MOST)
    return packed + random.choice((b"", b"", packed, b"\0" * 10, b"junk", packed[:5]))


def check_articles(room: Room, content: bytes) -> None:
    """Every line of a file of articles is in one bucket, and what is good is stored."""
    from rerank_core.extract import articles

    bits = zlib.crc32(content)
    told: list[str] = []
    try:
        report = articles.load_articles(
            room.database,
            room.file(content, "articles.jsonl"),
            assume_utc=bool(bits & 1),
            published_now=bits & 6 == 6,
            on_bad_line=lambda number, reason: told.append(reason),
        )
    except RerankError as error:
        raise Finding(f"the whole file is refused: {error}") from error
    if len(told) != report.bad:
        raise Finding(f"{report.bad} bad lines, but {len(told)} were told")


# ── What pages, judgements and events are read from ─────────────────────────────────────────────────

_PAGE = {
    "format": 1,
    "pipeline": "news",
    "publication_id": 7,
    "content": "a",
    "pages": "news/pages/7-0123456789abcdef/",
    "topics": {"solar": {"state": "full", "ranked": 1, "page": "news/pages/7-0123456789abcdef/solar.json"}},
}
_EVENT = {
    "run_id": 1,
    "topic": "solar",
    "rank": 1,
    "revision_id": 1,
    "event": "open",
    "time": "2026-03-01T10:00:00Z",
}
_QRELS = b"topic\tarticle_id\trelevance\nsolar 0 a 1\nsolar 0 b 0\nwind\tc\t2\n"
_CORPUS = b'{"id": "a", "title": "solar", "text": "solar power", "lang": "en"}\n'
KINDS = ("qrels", "feedback", "latest", "copy", "corpus", "parquet")
_DEEP = (b"[", b'{"topics":', b'{"pages": "news/pages/' + b"1" * 5000)


@cache
def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from rerank_core.storage import schemas

    table = pa.table(
        {
            "document_id": [1, 2, 3],
            "score": [0.5, 1.0, 2.0],
            "title": ["a", "b", "c"],
            "at": pa.array([0, 1, 2], schemas.TIME),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", store_schema=True)
    return sink.getvalue().to_pybytes()


def draw_page(random: Random) -> bytes:
    """A kind of file on the first line, and its content."""
    kind = random.choice(KINDS)
    if kind in ("latest", "copy"):
        content = json.dumps(_odd_json(random, _PAGE)).encode()
    elif kind == "feedback":
        content = b"\n".join(json.dumps(_odd_json(random, _EVENT)).encode() for _ in range(3))
    else:
        content = {"qrels": _QRELS, "corpus": _CORPUS, "parquet": _parquet()}[kind]
    if random.random() < 0.7:
        content = drawn.changed(random, content, (*drawn.as_bytes("json"), b"\t", b" ", b"1"), most=MOST)
    if random.random() < 0.1:
        content = _many(random, random.choice(_DEEP))
    return kind.encode() + b"\n" + (content if kind == "parquet" else _packed(random, content))


def _odd_json(random: Random, given: Any) -> Any:
    """A value like this, of which some parts are replaced."""
    if random.random() < 0.1:
        return _value(random)
    if isinstance(given, dict):
        return {key: _odd_json(random, value) for key, value in given.items() if random.random() > 0.03}
    return given


def check_page(room: Room, content: bytes) -> None:
    """A damaged file is refused with a RerankError, or taken for none."""
    kind, _, content = content.partition(b"\n")
    reader = _READERS.get(kind.decode("latin-1"))
    if reader is not None:
        with suppress(RerankError):
            reader(room, content)


def _read_qrels(room: Room, content: bytes) -> None:
    from rerank_core.evaluation import judgements

    for of_topic in judgements.read_file(room.file(content)).values():
        for article_id, grade in of_topic.items():
            article_id.encode("utf-8")
            int(grade)


def _read_feedback(room: Room, content: bytes) -> None:
    from rerank_core.learning import events

    events.load(room.database, room.file(content), pipeline="fuzz")


def _read_latest(room: Room, content: bytes) -> None:
    from rerank_core.frontends import json_pages

    room.store.write_json(room.store.latest_path("news"), content)
    latest = json_pages.read_latest(room.store, "news")
    json_pages.is_current(latest, {"publication_id": 7, "content": "a"})  # type: ignore[arg-type]
    if latest is not None:
        for path in json_pages.paths(latest):
            room.store.full_path(path)


def _read_copy(room: Room, content: bytes) -> None:
    from rerank_core.frontends import json_pages, redis_copy

    copy = redis_copy.read_copy(content)
    json_pages.is_current(copy, {"publication_id": 7, "content": "a"})  # type: ignore[arg-type]
    redis_copy._keys_of(redis_copy.Keys("news"), copy)


def _read_corpus(room: Room, content: bytes) -> None:
    from rerank_core.evaluation import corpus

    room.file(content, "corpus.jsonl")
    room.file(content, "queries.jsonl")
    room.file(b"a 0 a 1\n", "qrels.tsv")
    corpus.by_bm25(corpus.read(room.folder, queries=2), candidates=3)


def _read_parquet(room: Room, content: bytes) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(pa.BufferReader(_parquet()))
    room.store.write_json("news/latest.json", content)
    room.store.read("news/latest.json", schema=schema)


_READERS: dict[str, Callable[[Room, bytes], None]] = {
    "qrels": _read_qrels,
    "feedback": _read_feedback,
    "latest": _read_latest,
    "copy": _read_copy,
    "corpus": _read_corpus,
    "parquet": _read_parquet,
}


# ── Near-copies ─────────────────────────────────────────────────────────────────────────────────────


def _words() -> tuple[str, ...]:
    return (*drawn.pieces("words"), "x" * 300, "é" * 300)


def draw_pair(random: Random) -> bytes:
    """Two texts of a document's length at most, in one language, that share much."""
    lang = random.choice(("en", "zh", "ja", "ko", "de", "fi", "tr", "ar", "ru", "hu", "th", "und"))
    pieces = random.sample(_words(), random.randint(1, 5))
    length = int(10 ** random.uniform(2, 4.3))
    between = random.choice(("", " ", " "))

    def part(size: int) -> str:
        kind = random.randrange(4)
        if kind == 0:
            return (random.choice(pieces) + between) * (size // 3)
        if kind == 1:
            return between.join(random.choice(pieces) for _ in range(size // 3))
        if kind == 2:
            return between.join(f"{random.choice(pieces)}{number % 97}" for number in range(size // 5))
        unit = between.join(random.choice(pieces) for _ in range(random.randint(1, 30)))
        return unit * max(1, size // max(1, len(unit)))

    parts = [part(length // 4) for _ in range(4)]
    others = [one if random.random() < 0.6 else part(length // 4) for one in parts]
    if random.random() < 0.3:
        random.shuffle(others)
    titles = [part(random.choice((0, 100, 300)))[:300].replace("\n", " ") for _ in range(2)]
    one, other = (
        (title + "\n\n" + between.join(of))[: documents.MAX_TEXT]
        for title, of in zip(titles, (parts, others), strict=True)
    )
    return json.dumps({"lang": lang, "one": one, "other": other}).encode()


def change_pair(content: bytes, random: Random) -> bytes:
    """A pair like this one."""
    try:
        pair = json.loads(content)
        name = random.choice(("one", "other"))
        pair[name] = _changed_text(random, pair[name], _words())[: documents.MAX_TEXT]
    except (ValueError, KeyError, TypeError):
        return draw_pair(random)
    return json.dumps(pair).encode()


def check_pair(content: bytes) -> None:
    """Two texts are compared within the bound, and to the same end in either order."""
    try:
        pair = json.loads(content)
        lang, texts = pair["lang"], (pair["one"], pair["other"])
    except (ValueError, KeyError, TypeError):
        return
    if not all(isinstance(text, str) and text for text in texts):
        return
    for text in texts:
        text.encode("utf-8", "replace")
        signature(text, lang=lang)
    one, other = (Story(text, lang=lang) for text in texts)
    is_near = one.similarity(other) >= NEAR
    one.is_cut(other, length=0.55, contained=0.9)
    # Of texts that are less alike, places may be laid side by side in two ways, and no run compares them.
    if veto(one, other) != veto(other, one) and is_near:
        raise Finding("the veto depends on the order of the texts")


def warm() -> None:
    """Load dictionaries and models, so that no input waits for them."""
    from rerank_core.prepare import chinese

    for sample in helper.SAMPLES.values():
        documents.to_document(title=None, summary=None, body=sample, lang=None)
    chinese.is_name(chinese.words("海港城市")[0])


def targets(
    room: Room,
    ask: Callable[[bytes], None] | None = None,
    draw_address: Callable[[Random], bytes] | None = None,
) -> dict[str, Target]:
    """All targets by name. `ask` and `draw_address` are those of the views, which need an Airflow."""
    found = [
        Target("prepare", draw_article, check_article, PREPARE_SECONDS, follow=change_article),
        Target(
            "topics",
            draw_topics,
            lambda content: check_topics(room, content),
            READ_SECONDS,
            drawn.as_bytes("yaml"),
        ),
        Target(
            "articles",
            draw_articles,
            lambda content: check_articles(room, content),
            READ_SECONDS,
            drawn.as_bytes("json"),
        ),
        Target(
            "pages",
            draw_page,
            lambda content: check_page(room, content),
            READ_SECONDS,
            drawn.as_bytes("json"),
        ),
        Target("near", draw_pair, check_pair, PAIR_SECONDS, follow=change_pair),
    ]
    if ask is not None and draw_address is not None:
        found.append(Target("ui", draw_address, ask, READ_SECONDS))
    return {target.name: target for target in found}
