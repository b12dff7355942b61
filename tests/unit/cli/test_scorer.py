"""`rerank scorer show` names the parts of a scorer's id."""

from command_line import Rerank


def test_the_scorer_is_shown_by_its_parts(rerank: Rerank) -> None:
    out = rerank("scorer", "show").out
    for part in ("digest", "weights", "prompt", "precision", "max_document_tokens"):
        assert part in out
