"""The prompt as the model card and vLLM's example write it: strings, for the contenders that take strings."""

from rerank_core.records import Pair

PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def query_part(pair: Pair) -> str:
    """What the example's query template gives."""
    return f"{PREFIX}<Instruct>: {pair.instruction}\n<Query>: {pair.query}\n"


def document_part(pair: Pair) -> str:
    """What the example's document template gives."""
    return f"<Document>: {pair.document}{SUFFIX}"


def whole_prompt(pair: Pair) -> str:
    """The prompt as one string."""
    return query_part(pair) + document_part(pair)
