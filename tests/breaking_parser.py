"""A parser that breaks on texts with the word "poison", for a nursery's helpers."""

from typing import Any

from rerank_core.prepare import documents


def install() -> None:
    original = documents.clean

    def fails(raw: str | None, **options: Any) -> str:
        if raw and "poison" in raw:
            raise RecursionError("poison")
        return original(raw, **options)

    documents.clean = fails
