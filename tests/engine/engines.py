"""Engines that tests share: a start takes seconds, and a process has one engine at a time."""

from pathlib import Path
from typing import Any

from engine.pairs import all_scores, make_pairs

from rerank_core.models.vllm import VllmScorer
from rerank_core.records import Score

OPTIONS: dict[str, Any] = {
    "max_document_tokens": 96,
    "kv_cache_gib": 0.25,
    "run_canary": False,  # random weights know no order
}


class Engines:
    """The one engine that is open, and the scores that earlier ones gave."""

    def __init__(self, default: Path) -> None:
        self._default = default
        self._open: VllmScorer | None = None
        self._kind: tuple[Any, ...] | None = None  # of the open engine; None: no other test may have it
        self._scores: dict[tuple[Any, ...], list[Score]] = {}

    def build(self, folder: Path | None = None, **options: Any) -> VllmScorer:
        """A new engine that no other test gets; the one that was open closes."""
        self.close()
        self._open = VllmScorer(folder or self._default, **{**OPTIONS, **options})
        return self._open

    def shared(self, folder: Path | None = None, **options: Any) -> VllmScorer:
        """The open engine if it is of this kind, else a new one; the test leaves it usable."""
        kind = self._kind_of(folder, options)
        if self._open is None or self._kind != kind:
            self.build(folder, **options)
            self._kind = kind
        assert self._open is not None
        return self._open

    def taken(self, folder: Path | None = None, **options: Any) -> VllmScorer:
        """As `shared`, for a test that breaks the engine: no later test gets it."""
        scorer = self.shared(folder, **options)
        self._kind = None
        return scorer

    def scores(self, folder: Path | None = None, **options: Any) -> list[Score]:
        """Scores of `make_pairs()`, nothing cached before, by an engine of this kind; computed once."""
        kind = self._kind_of(folder, options)
        if kind not in self._scores:
            scorer = self.shared(folder, **options)
            scorer._llm.reset_prefix_cache()
            self._scores[kind] = all_scores(scorer, make_pairs())
        return self._scores[kind]

    def close(self) -> None:
        """Close the open engine, if there is one."""
        if self._open is not None:
            self._open.close()
        self._open = self._kind = None

    def _kind_of(self, folder: Path | None, options: dict[str, Any]) -> tuple[Any, ...]:
        return (folder or self._default, *sorted({**OPTIONS, **options}.items()))
