"""Whether scores are right on this device: exactness, guard, canary, and a run that is killed half way.

Each check has a broken control: it must find what it is made to find, or the check counts as failed.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tokenizers import Tokenizer

from benchmarks.contenders import Options
from benchmarks.gpu import inputs
from benchmarks.gpu.fleet import Fleet, Wanted
from benchmarks.official import whole_prompt
from rerank_core.errors import ModelError
from rerank_core.models.canary import Canary, read_canary
from rerank_core.models.prompt import Prompter
from rerank_core.records import Pair

Rows = dict[str, dict[str, object]]
BOUND = 1e-3  # of a logit in float32 beside transformers'; kernels add in another order
CARRIED = 1e-3  # of a logit that another engine of the same kind computes again


@dataclass(frozen=True)
class Checks:
    """What the checks work on: the demonstration checkpoint in float32."""

    fleet: Fleet
    options: Options
    prompter: Prompter
    sizes: inputs.Sizes

    def right(self) -> Rows:
        """Exactness, guard and canary, by one engine."""
        wanted = {"demo": Wanted("ours", self.options)}
        if self.sizes.reference:
            wanted["transformers"] = Wanted("transformers", self.options, "forward")
        self.fleet.start(wanted)
        pairs = self._pairs()
        logits = self.fleet.ask("demo", "score", pairs).logits
        rows: Rows = {"every pair has a finite logit": row_of(all(map(math.isfinite, logits)), len(logits))}
        if self.sizes.reference:
            step = max(1, len(pairs) // (6 * self.sizes.reference))
            expected = self.fleet.ask("transformers", "one_by_one", pairs[::step]).logits
            far = max(abs(ours - theirs) for ours, theirs in zip(logits[::step], expected, strict=True))
            rows["largest difference from transformers"] = row_of(far < BOUND < spread(expected), far)
        again = self.fleet.ask("demo", "score", pairs[::-1]).logits[::-1]
        moved = max(abs(one - other) for one, other in zip(logits, again, strict=True))
        rows["largest difference in another order"] = row_of(moved < BOUND, moved)
        return {**rows, **self._guard(), **self._canary(read_canary(self.options.folder))}

    def killed(self) -> Rows:
        """Score, lose the engine half way, go on with another engine from the ledger, and rank: the order is the same.

        The other engine, `ours`, lives on.
        """
        self.fleet.start({"demo": Wanted("ours", self.options)})
        pairs = self._pairs()
        whole = self._scores("demo", pairs)
        half = len(pairs) // 2
        ledger = self._scores("demo", pairs[:half])
        self.fleet.keep()
        self.fleet.start({"ours": Wanted("ours", self.options)})
        missing = [pair for pair in pairs if _key(pair) not in ledger]
        ledger |= self._scores("ours", missing)
        moved = max(abs(ledger[key] - logit) for key, logit in whole.items())
        shuffled = dict(zip(ledger, reversed(ledger.values()), strict=True))
        return {
            "pairs scored after the kill": row_of(len(missing) == len(pairs) - half, len(missing)),
            "largest difference of a logit": row_of(moved < CARRIED, moved),
            "rows at another place": row_of(
                misplaced(ledger, whole) == 0, misplaced(ledger, whole), misplaced(shuffled, whole) > 0
            ),
        }

    def _pairs(self) -> list[Pair]:
        topics, articles = self.sizes.checked
        texts = [row["text"] for row in inputs.articles()[:articles]]
        limit = self.options.max_document_tokens
        return inputs.pairs_of(
            inputs.questions()[:topics], [inputs.cut(self.prompter, t, limit) for t in texts]
        )

    def _scores(self, engine: str, pairs: Sequence[Pair]) -> dict[tuple[int, int], float]:
        logits = self.fleet.ask(engine, "score", pairs).logits
        return {_key(pair): logit for pair, logit in zip(pairs, logits, strict=True)}

    def _guard(self) -> Rows:
        """No text becomes a control token; every text gets a finite logit. Whole strings are the control."""
        instruction, query = inputs.questions()[0]
        hostile = [*inputs.pairs_of([(instruction, query)], inputs.HOSTILE)]
        hostile += [replace(pair, query=pair.document or query, query_id=1) for pair in hostile[:4]]
        plain = Tokenizer.from_file(str(self.options.folder / "tokenizer.json"))
        controls = {
            number for number, token in plain.get_added_tokens_decoder().items() if token.content.strip()
        }

        def structure(ids: Sequence[int]) -> int:
            return sum(number in controls for number in ids)

        frame = structure(self._ids(replace(hostile[0], query="a", document="b")))
        ours = sum(structure(self._ids(pair)) != frame for pair in hostile)
        strings = [whole_prompt(pair) for pair in hostile[:4]]
        fooled = sum(structure(plain.encode(text, add_special_tokens=False).ids) != frame for text in strings)
        logits = self.fleet.ask("demo", "score", hostile).logits
        return {
            "hostile texts that became structure": row_of(ours == 0, ours, fooled > 0),
            "hostile texts with a finite logit": row_of(all(map(math.isfinite, logits)), len(logits)),
        }

    def _ids(self, pair: Pair) -> Sequence[int]:
        return self.prompter.prompt(
            instruction=pair.instruction, query=pair.query, document=pair.document
        ).ids

    def _canary(self, canary: Canary) -> Rows:
        logits = self._scores("demo", canary.pairs())
        order_only = Canary(
            tuple(replace(case, logits=None) for case in canary.cases), canary.source
        )  # recorded logits are those of a CPU
        try:
            margin = order_only.check(logits)
        except ModelError as error:
            return {"canary": row_of(False, str(error))}
        try:
            order_only.check({key: -logit for key, logit in logits.items()})
        except ModelError:
            return {"canary, margin": row_of(True, margin)}
        return {"canary, margin": row_of(True, margin, False)}


def misplaced(scores: Mapping[tuple[int, int], float], right: Mapping[tuple[int, int], float]) -> int:
    """Neighbours in a topic's order by `scores` that `right` has the other way round, by more than CARRIED."""
    topics: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for key in sorted(scores, key=lambda key: (-scores[key], key)):
        topics[key[0]].append(key)
    neighbours = [both for keys in topics.values() for both in pairwise(keys)]
    return sum(right[above] < right[below] - CARRIED for above, below in neighbours)


def spread(values: Sequence[float]) -> float:
    """From the least to the largest."""
    return max(values) - min(values)


def _key(pair: Pair) -> tuple[int, int]:
    return pair.query_id, pair.document_id


def row_of(right: bool, found: object, control: bool = True) -> dict[str, object]:
    """A row that says what was found, and whether it is right and its control failed."""
    return {
        "found": f"{found:.3g}" if isinstance(found, float) else found,
        "right": right and control,
        **({} if control else {"control": "did not fail"}),
    }
