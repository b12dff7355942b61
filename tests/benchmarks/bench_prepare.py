"""Measure prepare: extraction beside another library, lines that the rules take, counts and speed on real news.

    PYTHONPATH=tests python -m benchmarks.bench_prepare extraction
    PYTHONPATH=tests python -m benchmarks.bench_prepare lines
    PYTHONPATH=tests python -m benchmarks.bench_prepare news
    PYTHONPATH=tests python -m benchmarks.bench_prepare speed
    python tests/benchmarks/bench_prepare.py other LIBRARY PAGES.json   (in the other library's environment)

The data lie beside the repository (../shared/data); a part whose data are absent says so and measures nothing.
Only figures are kept, in tests/benchmarks/results/prepare.json and prepare.md: the texts are their publishers'.
"""

import argparse
import gzip
import hashlib
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PAGES = DATA / "html" / "article_extraction_benchmark"
NEWS = ("zh_broadcast_2024-10_2025-10.jsonl.gz", "en_reuters21578.jsonl.gz")
RESULTS = Path(__file__).parent / "results" / "prepare.json"
SHINGLE = 4  # words, as in the benchmark's own evaluation


# ── Extraction: scored as the benchmark scores itself ───────────────────────────────────────────────


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """Overlapping runs of four words, with how often each stands in the text."""
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1)))


def outcome(gold: str, found: str) -> tuple[float, float, float]:
    """(true positives, false positives, false negatives) of one page, scaled so that long pages weigh no more."""
    wanted, given = shingles(gold), shingles(found)
    both = wanted & given
    counts = both.total(), (given - wanted).total(), (wanted - given).total()
    return tuple(count / (sum(counts) or 1) for count in counts)  # type: ignore[return-value]


def precision(true: float, false: float, missed: float) -> float:
    """Share of what was found that is right; nothing found where something was to be found is 0."""
    if false == missed == 0:
        return 1.0
    return true / (true + false) if true or false else 0.0


def evaluate(gold: Mapping[str, str], found: Mapping[str, str]) -> dict[str, float]:
    """Mean precision and recall over the pages, their harmonic mean with its bootstrap deviation, exact pages."""
    outcomes = [outcome(gold[name], found[name]) for name in gold]

    def means(some: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
        p = statistics.mean(precision(*one) for one in some)
        r = statistics.mean(precision(true, missed, false) for true, false, missed in some)
        return p, r, 2 * p * r / (p + r)

    p, r, f1 = means(outcomes)
    draw = random.Random(42)
    spread = statistics.stdev(means(draw.choices(outcomes, k=len(outcomes)))[2] for _ in range(1_000))
    exact = statistics.mean(false == missed == 0 for _, false, missed in outcomes)
    figures = {"precision": p, "recall": r, "f1": f1, "f1_deviation": spread, "exact": exact}
    return {name: round(value, 4) for name, value in figures.items()}


def pages() -> dict[str, str]:
    """The benchmark's pages by id."""
    return {
        file.name.removesuffix(".html.gz"): gzip.decompress(file.read_bytes()).decode("utf-8")
        for file in sorted((PAGES / "html").glob("*.gz"))
    }


def timed(extractor: Callable[[str], str], found: Mapping[str, str]) -> tuple[dict[str, str], float]:
    """What an extractor makes of each page, and pages a second of processor time."""
    extractor(next(iter(found.values())))
    started = time.process_time()
    texts = {name: extractor(page) for name, page in found.items()}
    return texts, len(found) / (time.process_time() - started)


def extractors() -> dict[str, Callable[[str], str]]:
    """Ways that this library's own environment can extract."""
    import trafilatura

    from rerank_core.prepare.cleaning import STEPS, Cleaning, Tally, clean

    def prepared(*without: str) -> Callable[[str], str]:
        cleaning = Cleaning(without=frozenset(without))
        return lambda page: clean(page, cleaning=cleaning, tally=Tally())

    return {
        "prepare: all steps": prepared(),
        "prepare: step extract alone": prepared(*(name for name in STEPS if name != "extract")),
        "trafilatura, its default": lambda page: trafilatura.extract(page) or "",
        "trafilatura, fast": lambda page: trafilatura.extract(page, fast=True, include_comments=False) or "",
        "trafilatura, precision": lambda page: (
            trafilatura.extract(page, favor_precision=True, include_comments=False) or ""
        ),
        "trafilatura, recall": lambda page: (
            trafilatura.extract(page, favor_recall=True, include_comments=False) or ""
        ),
    }


def other(library: str, source: Path) -> None:
    """Print another library's text of each page, and its speed, as JSON."""
    found: dict[str, str] = json.loads(source.read_text(encoding="utf-8"))
    if library == "readability-lxml":
        from lxml.html import fromstring  # type: ignore[import-untyped,unused-ignore]
        from readability import Document  # type: ignore[import-not-found,unused-ignore]

        def extractor(page: str) -> str:
            blocks = fromstring(Document(page).summary(html_partial=True)).itertext()
            return "\n".join(blocks)

    elif library == "resiliparse":
        from resiliparse.extract.html2text import (  # type: ignore[import-not-found,unused-ignore]
            extract_plain_text,
        )

        def extractor(page: str) -> str:
            return str(extract_plain_text(page, main_content=True))

    else:
        import justext  # type: ignore[import-not-found,import-untyped,unused-ignore]

        words = justext.get_stoplist("English")

        def extractor(page: str) -> str:
            paragraphs = justext.justext(page.encode("utf-8"), words, encoding="utf-8")
            return "\n".join(one.text for one in paragraphs if not one.is_boilerplate)

    texts, speed = timed(extractor, found)
    json.dump({"texts": texts, "pages_per_processor_second": speed}, sys.stdout)


def measure_extraction(others: Mapping[str, str]) -> dict[str, Any]:
    """F1 and speed of each extractor on the benchmark; `others` maps a library to the Python that has it."""
    import tempfile

    found = pages()
    gold = {
        name: entry["articleBody"]
        for name, entry in json.loads((PAGES / "ground-truth.json").read_text(encoding="utf-8")).items()
    }
    rows = {}
    for name, extractor in extractors().items():
        texts, speed = timed(extractor, found)
        rows[name] = {**evaluate(gold, texts), "pages_per_processor_second": round(speed, 1)}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "pages.json"
        source.write_text(json.dumps(found), encoding="utf-8")
        for library, python in others.items():
            done = subprocess.run(
                [python, __file__, "other", library, source], capture_output=True, check=True, text=True
            )
            result = json.loads(done.stdout)
            rows[library] = {
                **evaluate(gold, result["texts"]),
                "pages_per_processor_second": round(result["pages_per_processor_second"], 1),
            }
    return {"pages": len(found), "extractors": rows}


# ── Lines: labelled by hand ─────────────────────────────────────────────────────────────────────────

LINES = Path(__file__).parent / "lines"


def labelled(file: Path) -> list[list[tuple[str, str]]]:
    """The texts of a file of labels: (label, line) of each line; "b" is boilerplate, "o" is ordinary."""
    texts: list[list[tuple[str, str]]] = []
    for row in file.read_text(encoding="utf-8").splitlines():
        label, tab, line = row.partition("\t")
        if row.startswith("# "):
            texts.append([])
        elif tab:
            texts[-1].append((label, line))
    return texts


def labelled_pages() -> list[list[tuple[str, str]]]:
    """The benchmark's pages as they come to the rules. Lines whose hash has no label are labelled "?"."""
    from rerank_core.prepare.cleaning import Cleaning, Tally, clean

    labels = {line: label for text in labelled(LINES / "test_html.txt") for label, line in text}
    before = Cleaning(without=frozenset({"boilerplate"}))
    texts = (clean(page, cleaning=before, tally=Tally()).split("\n") for page in pages().values())
    return [[(labels.get(_hash(line), "?"), line) for line in text] for text in texts]


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:16]


def outcome_of_lines(texts: Sequence[Sequence[tuple[str, str]]]) -> Counter[str]:
    """How many lines of each label there are, and how many of them the rules take. Equal lines of a text count once."""
    from rerank_core.prepare import boilerplate

    rules = boilerplate.load()
    counts: Counter[str] = Counter()
    for text in texts:
        kept = Counter(rules.strip("\n".join(line for _, line in text))[0].split("\n"))
        there = Counter(line for _, line in text)
        for label, line in dict.fromkeys(text):
            if label != "?":
                kind = {"b": "boilerplate", "o": "ordinary"}[label]
                counts[kind] += 1
                counts[f"{kind}_removed"] += kept[line] < there[line]
    return counts


def measure_lines() -> dict[str, Any]:
    """Of labelled lines, what the rules take and lose, for each file of labels and in all."""
    found = {file.stem: labelled(file) for file in sorted(LINES.glob("*_??.txt"))}
    if PAGES.is_dir():
        found["test_html"] = labelled_pages()
    counts = {name: outcome_of_lines(texts) for name, texts in found.items()}
    total: Counter[str] = Counter()
    for name, one in counts.items():
        if name.startswith("test_"):
            total.update(one)
    return {name: _shares(one) for name, one in (*counts.items(), ("all of the test", total))}


def _shares(counts: Counter[str]) -> dict[str, Any]:
    removed = counts["boilerplate_removed"] + counts["ordinary_removed"]
    return {
        **{
            name: counts[name]
            for name in ("ordinary", "ordinary_removed", "boilerplate", "boilerplate_removed")
        },
        "precision": round(counts["boilerplate_removed"] / removed, 4) if removed else 1.0,
        "recall": round(counts["boilerplate_removed"] / max(1, counts["boilerplate"]), 4),
    }


# ── Counts and speed ────────────────────────────────────────────────────────────────────────────────


def articles(file: str) -> Iterator[dict[str, Any]]:
    """The articles of one set, with the fields that prepare takes."""
    with gzip.open(DATA / "news" / file, "rt", encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            yield {
                "title": record.get("title"),
                "summary": None,
                "body": record.get("body_html") or record.get("text"),
                "lang": record.get("lang"),
            }


def measure_news() -> dict[str, Any]:
    """What each step did to the news sets; languages also where the source's claim is withheld."""
    from rerank_core.prepare.documents import Unpreparable, to_document
    from rerank_core.prepare.language import language

    rows = {}
    for file in NEWS:
        counts: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        blind: Counter[str] = Counter()
        digests = set()
        for article in articles(file):
            counts["articles"] += 1
            try:
                document = to_document(**article, counts=counts)
                digests.add(document.digest)
                blind[language(document.text, claimed=None).code] += 1
            except Unpreparable as reason:
                refused[str(reason).partition(":")[0]] += 1
        rows[file.partition("_")[0]] = {
            **(+counts),
            "documents": len(digests),
            "quarantined": dict(refused),
            "languages_without_claim": dict(blind.most_common(6)),
        }
    return rows


def measure_speed(rounds: int, only: str | None = None) -> dict[str, Any]:
    """Articles a second, whole preparation: of processor time in one process, the best of the rounds; and of the clock
    with a helper on each core, their start included."""
    sets = {
        "zh fragments": list(articles(NEWS[0])),
        "en plain texts": list(articles(NEWS[1])),
        "pages": [{"title": None, "summary": None, "body": page, "lang": None} for page in pages().values()],
    }
    rows = {}
    for name, found in sets.items():
        if only not in (None, name):
            continue
        sample = random.Random(1).sample(found, min(len(found), 1_000))
        _speed(sample[:20])  # imports and dictionaries
        rows[name] = {
            "mean_characters": round(statistics.mean(len(article["body"] or "") for article in sample)),
            "one_process,_a_processor_second": round(max(_speed(sample) for _ in range(rounds)), 1),
            **_helped_speed(found * (5 if name == "pages" else 1)),
            "load_of_the_machine": round(os.getloadavg()[0], 1),
        }
    return rows


def _speed(sample: Sequence[dict[str, Any]]) -> float:
    from rerank_core.prepare.documents import Unpreparable, to_document

    started = time.process_time()
    for article in sample:
        try:
            to_document(**article)
        except Unpreparable:
            continue
    return len(sample) / (time.process_time() - started)


def _helped_speed(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    from benchmarks.machine import cores
    from rerank_core.prepare.cleaning import Cleaning
    from rerank_core.prepare.helpers import Limits, Raw, outcomes
    from rerank_core.prepare.prepare import BATCH

    raw = [Raw(number, str(number), **article) for number, article in enumerate(found)]
    batches = (raw[first : first + BATCH] for first in range(0, len(raw), BATCH))
    clock, processor = time.perf_counter(), _processor_seconds()
    made = sum(
        len(one.documents) + len(one.refused)
        for one in outcomes(batches, cleaning=Cleaning(), limits=Limits(), number=cores())
    )
    clock, processor = time.perf_counter() - clock, _processor_seconds() - processor
    assert made == len(raw)
    return {
        "articles": len(raw),
        "workers": cores(),
        "all_workers,_a_second": round(len(raw) / clock, 1),
        "all_workers,_a_processor_second": round(len(raw) / processor, 1),
    }


def _processor_seconds() -> float:
    """Of this process and of all that it has waited for."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench_prepare", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=("extraction", "lines", "news", "speed", "other"))
    parser.add_argument("what", nargs="*", help="for other, a library and a file of pages")
    parser.add_argument("--other", action="append", default=[], metavar="LIBRARY=PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("zh fragments", "en plain texts", "pages"), help="a row of speed")
    options = parser.parse_args(given)
    if options.part == "other":
        other(options.what[0], Path(options.what[1]))
        return
    from benchmarks.reporting import prepare  # not in the other library's environment

    needed = {"extraction": PAGES, "news": DATA / "news", "speed": DATA / "news", "lines": LINES}
    if not needed[options.part].is_dir():
        print(f"{options.part}: skipped, {needed[options.part].name} is not beside this repository")
        return
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "extraction": lambda: measure_extraction(dict(one.split("=", 1) for one in options.other)),
        "lines": measure_lines,
        "news": measure_news,
        "speed": lambda: measure_speed(options.rounds, options.only),
    }
    measured = parts[options.part]()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if options.only:
        measured = results.get(options.part, {}) | measured
    results[options.part] = measured
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(prepare.markdown(results), encoding="utf-8")
    print(prepare.markdown({options.part: results[options.part]}))


if __name__ == "__main__":
    main()
