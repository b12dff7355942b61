"""Whether a model that reads pictures scores them right on this device, and what a picture costs there.

Exactness is that of a small random checkpoint in float32, beside transformers with the family's own processor. Speed is
that of the 2B shape with random weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks import checkpoints
from benchmarks.arithmetic import ratios, spread
from benchmarks.contenders import Options
from benchmarks.gpu import checks, inputs
from benchmarks.gpu.fleet import Fleet, Wanted
from rerank_core.records import Pair

NEEDED = ("torchvision", "PIL")
TEXT_TOKENS = 128  # of a document beside its picture, at most
SIZE, CLIP = (768, 432), (320, 180, 8)  # of a picture as `prepare` leaves it; of a clip, with its frames
Rows = checks.Rows


@dataclass(frozen=True)
class Pictures:
    """What the part works on."""

    fleet: Fleet
    options: Options  # as of the other engines; the folder is not looked at
    sizes: inputs.Sizes
    say: Callable[[str], None]

    def rows(self) -> Rows:
        """Exactness first, then speed."""
        if missing := [name for name in NEEDED if find_spec(name) is None]:
            return {"left out": {"why": f"no {', '.join(missing)}"}}
        return {**self._right(), **self._speed()}

    def _right(self) -> Rows:
        from made_renditions import Renditions
        from vision_reference import drawn

        options = self._options("small")
        store = Renditions()
        pairs = drawn(store)
        store.write(self._media)
        options = replace(options, precision="float32")
        self.fleet.start(
            {
                "small, pictures": Wanted("ours", options),
                "transformers, pictures": Wanted("pictured", options, "one_by_one"),
            }
        )
        logits = self.fleet.ask("small, pictures", "score", pairs).logits
        expected = self.fleet.ask("transformers, pictures", "one_by_one", pairs).logits
        again = self.fleet.ask("small, pictures", "score", pairs[::-1]).logits[::-1]
        bare = self.fleet.ask("small, pictures", "score", [replace(pair, pictures=()) for pair in pairs])
        pictured = [bool(pair.pictures) for pair in pairs]
        seen = [abs(one - other) > checks.BOUND for one, other in zip(logits, bare.logits, strict=True)]
        far, moved = (
            max(abs(one - other) for one, other in zip(logits, others, strict=True))
            for others in (expected, again)
        )
        self.fleet.keep()
        return {
            "largest difference from transformers": checks.row_of(
                far < checks.BOUND < checks.spread(expected), far
            ),
            "largest difference in another order": checks.row_of(moved < checks.BOUND, moved),
            "pairs whose logit the pictures change": checks.row_of(seen == pictured, sum(seen)),
        }

    def _speed(self) -> Rows:
        """The same texts alone, each with a picture, and each with a clip, by one engine in turn."""
        from made_renditions import Renditions

        options = self._options("2B" if self.options.gpu else "small")
        self.fleet.start({"pictures": Wanted("ours", options)})
        topics, articles = self.sizes.long
        store = Renditions()
        plain = self._texts(options, topics, articles)
        shown = {
            "with a picture": [store.picture(*SIZE) for _ in range(articles)],
            "with a clip": [store.clip(*CLIP) for _ in range(articles)],
        }
        store.write(self._media)
        loads = {"text alone": plain} | {
            name: [replace(pair, pictures=(paths[pair.document_id],)) for pair in plain]
            for name, paths in shown.items()
        }
        asked = {
            name: [self.fleet.ask("pictures", "score", pairs) for _ in range(self.sizes.rounds)]
            for name, pairs in loads.items()
        }
        rows: Rows = {}
        for name, results in asked.items():
            seconds = [result.seconds for result in results]
            low, middle, high = spread(ratios(seconds, [result.seconds for result in asked["text alone"]]))
            computed = sum(results[0].prompt_tokens) - sum(results[0].cached_tokens)
            rows[f"{options.folder.name}: {name}"] = {
                "pairs a second": round(len(plain) / median(seconds), 1),
                "computed tokens a second": round(computed / median(seconds)),
                "tokens a pair": round(sum(results[0].prompt_tokens) / len(plain)),
                "× the speed of text alone": f"{middle:.2f} ({low:.2f}–{high:.2f})",
            }
        self.fleet.keep()
        return rows

    def _texts(self, options: Options, topics: int, articles: int) -> list[Pair]:
        made = inputs.Maker(inputs.prompter_of(options.folder, TEXT_TOKENS))
        return inputs.pairs_of(inputs.questions()[:topics], [made.text(TEXT_TOKENS) for _ in range(articles)])

    @property
    def _media(self) -> Path:
        return checkpoints.cache() / "pictures"

    def _options(self, shape: str) -> Options:
        folder = checkpoints.vision_checkpoint(shape, "cuda" if self.options.gpu else "cpu")
        return replace(self.options, folder=folder, max_document_tokens=TEXT_TOKENS, media=self._media)
