"""Measure media: pictures a second through a helper, beside plain Pillow; clips; and 500 hostile files.

    PYTHONPATH=tests python -m benchmarks.bench_media [--rounds 5] [--pictures 20] [--hostile 500]

Each round asks both contenders in turn for the same pictures. Ours is what prepare does: digest, pipe, decoding, JPEG, all in one
helper and its owner. Plain Pillow opens, shrinks and saves the picture in this process, and checks nothing. Figures are processor
seconds of all processes, so that other work on the machine counts little. They go to tests/benchmarks/results/media.json and media.md.
"""

import argparse
import hashlib
import io
import json
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hostile_media import drawn
from made_media import clip
from PIL import Image

from benchmarks.machine import describe
from benchmarks.reporting import media
from rerank_core.prepare.answers import Looked, NoAnswer
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.helpers import Helpers, Limits
from rerank_core.prepare.messages import looked_at

RESULTS = Path(__file__).parent / "results" / "media.json"
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")


def busy_picture(form: str, *, size: tuple[int, int] = (1280, 720), seed: int = 1) -> bytes:
    """A picture with edges and noise, about as hard to decode as a photograph."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0 : size[1], 0 : size[0]]
    made = np.stack([across * 255 // size[0], down * 255 // size[1], (across + down) % 256], axis=2)
    made = np.clip(made + rng.integers(-20, 20, made.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(made).save(buffer, form)
    return buffer.getvalue()


def ask(helpers: Helpers, kind: str, content: bytes) -> str:
    """What becomes of a file, as prepare finds out."""
    try:
        answer = helpers.ask(looked_at(kind, content, None), Looked)
    except NoAnswer as reason:
        return str(reason)
    hashlib.sha256(content).digest()
    return "used" if answer.to_rendition(is_clip=kind == "video") else str(answer.refused)


def plain(content: bytes) -> None:
    """Plain Pillow."""
    with Image.open(io.BytesIO(content)) as picture:
        picture.thumbnail((768, 768))
        picture.convert("RGB").save(io.BytesIO(), "JPEG", quality=85)


def processor_seconds(helpers: Helpers, work: Callable[[], object]) -> float:
    """What this process and the helper use for the work."""

    def used() -> float:
        process = helpers._every[0]._process
        pid = process._process.pid if process else 0
        return time.process_time() + time.clock_gettime((~pid << 3) | 2)

    before = used()
    work()
    return used() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rounds", 5), ("pictures", 20), ("hostile", 500)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    results: dict[str, Any] = {
        "machine": describe(threads=1, gpu=False),
        "pictures": asked.pictures,
        "rounds": asked.rounds,
    }
    contents = {form: [busy_picture(form, seed=seed) for seed in range(asked.pictures)] for form in FORMATS}
    taken: dict[str, dict[str, list[float]]] = {form: {"ours": [], "plain Pillow": []} for form in FORMATS}
    moving = clip(codec="libx264", form="mp4", frames=120, size=(1280, 720))
    with Helpers(1, cleaning=Cleaning(), limits=Limits()) as helpers:
        ask(helpers, "picture", contents["JPEG"][0])  # starts it
        for _ in range(asked.rounds):
            for form, files in contents.items():
                ours = processor_seconds(
                    helpers, lambda files=files: [ask(helpers, "picture", file) for file in files]
                )  # type: ignore[misc]
                theirs = processor_seconds(helpers, lambda files=files: [plain(file) for file in files])  # type: ignore[misc]
                taken[form]["ours"].append(asked.pictures / ours)
                taken[form]["plain Pillow"].append(asked.pictures / theirs)
        clips = [
            processor_seconds(helpers, lambda: ask(helpers, "video", moving)) for _ in range(asked.rounds)
        ]
    results["formats"] = {
        form: {name: statistics.median(rates) for name, rates in ways.items()} for form, ways in taken.items()
    }
    results["clip_seconds"] = statistics.median(clips)
    results["hostile"] = hostile(asked.hostile)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(media.markdown(results), encoding="utf-8")
    print(media.markdown(results))


def hostile(number: int) -> dict[str, Any]:
    """What becomes of hostile files, how long all take and the slowest, and the most memory that a helper took."""
    found: Counter[str] = Counter()
    slowest, files = 0.0, list(drawn(number))
    seconds = 0.0
    with Helpers(1, cleaning=Cleaning(), limits=Limits()) as helpers:
        ask(helpers, "picture", b"")  # starts it
        for kind, content in files:
            told: list[str] = []
            took = processor_seconds(
                helpers,
                lambda kind=kind, content=content, told=told: told.append(ask(helpers, kind, content)),
            )  # type: ignore[misc]
            found[told[0].partition(":")[0]] += 1
            slowest, seconds = max(slowest, took), seconds + took
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    return {
        "files": number,
        "seconds": seconds,
        "slowest": slowest,
        "mib": peak,
        "fates": dict(found.most_common()),
    }


if __name__ == "__main__":
    main()
