"""Articles that no helper comes to an end with, for the nursery of a fire: those whose title begins with SICK."""

from typing import Any

from faults.traffic import SICK
from rerank_core.prepare import helper


def install() -> None:
    original = helper.to_document

    def endless(**article: Any) -> Any:
        while str(article["title"]).startswith(SICK):
            """It works, and nothing comes of it."""
        return original(**article)

    helper.to_document = endless
