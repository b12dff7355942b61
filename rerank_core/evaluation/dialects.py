"""What clients of rerank servers write and read: vLLM's, Cohere's and Jina's requests, and one answer that suits them all.

    vLLM     /rerank, /v1/rerank, /v2/rerank    query, documents, top_n, return_documents, instruction, use_activation
             /score, /v1/score                  queries × documents, also text_1 × text_2 or data_1 × data_2
    Cohere   /v1/rerank, /v2/rerank             documents may be objects with `text`; the answer has `meta`
    Jina     /v1/rerank                         documents may be objects with `text`; the answer has `object` and `usage`

Sources: https://docs.vllm.ai (rerank and score API), https://docs.cohere.com/reference/rerank, https://api.jina.ai/redoc.

Unknown fields are passed over, as those servers do. A field that would change scores and cannot be followed is refused.
Texts are sanitised as a run does it: a NUL becomes a space, a lone surrogate U+FFFD.
"""

import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rerank_core.errors import InputError
from rerank_core.evaluation.desk import Texts
from rerank_core.models.base import Refusal, probability
from rerank_core.models.encoding import sanitise
from rerank_core.records import DEFAULT_INSTRUCTION, Score
from rerank_core.storage.json_lines import kind

MOST_DOCUMENTS = 1_000  # of one request
SHOWN = 60  # characters of a wrong value
NAMED = 3  # mistakes of a request that its answer names


def _text(value: Any) -> str:
    """A text, or the `text` of an object. Raises ValueError if it is neither."""
    found = value.get("text") if isinstance(value, dict) else value
    if not isinstance(found, str):
        raise ValueError("give a text, or an object with `text`")
    return sanitise(found)


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


def _nothing(value: Any) -> None:
    if value not in (None, [], -1):
        raise ValueError("this server does not follow it: leave it out")


Text = Annotated[str, BeforeValidator(_text)]
ManyTexts = Annotated[list[Text], BeforeValidator(_texts), Field(min_length=1, max_length=MOST_DOCUMENTS)]
Refused = Annotated[None, BeforeValidator(_nothing)]


class _Request(BaseModel):
    """What all requests share."""

    model_config = ConfigDict(strict=True, extra="ignore")

    model: str | None = None
    instruction: Text | None = None
    use_activation: bool | None = None  # false: logits instead of probabilities
    max_tokens_per_doc: int | None = None
    truncate_prompt_tokens: Refused = None
    rank_fields: Refused = None

    @property
    def told(self) -> str:
        """The instruction that reaches the model."""
        return self.instruction or DEFAULT_INSTRUCTION

    def value(self, score: Score) -> float:
        """What the client gets for a score: a probability, or the logit if it asked for that."""
        return score.logit if self.use_activation is False else probability(score.logit)


class RerankRequest(_Request):
    """One query, and the documents to order."""

    query: Text
    documents: Annotated[list[Text], Field(min_length=1, max_length=MOST_DOCUMENTS)]
    top_n: Annotated[int, Field(ge=0)] | None = None  # 0 means all, as in vLLM
    return_documents: bool | None = None

    def texts(self) -> list[Texts]:
        """The pairs to score."""
        return [Texts(self.told, self.query, document) for document in self.documents]

    def answer(self, scores: Sequence[Score], *, model: str, version: str) -> dict[str, Any]:
        """Results best first, equal ones in the order of the documents. `version` is that of Cohere's API."""
        order = sorted(range(len(scores)), key=lambda place: -scores[place].logit)
        results = []
        for place in order[: self.top_n or None]:
            result: dict[str, Any] = {"index": place, "relevance_score": self.value(scores[place])}
            if self.return_documents is not False:
                result["document"] = {"text": self.documents[place]}
            results.append(result)
        return {
            "id": f"rerank-{uuid.uuid4().hex}",
            "object": "list",
            "model": model,
            "usage": _usage(scores),
            "meta": {"api_version": {"version": version}, "billed_units": {"search_units": 1}},
            "results": results,
        }


class ScoreRequest(_Request):
    """Pairs: one query with each document, or as many queries as documents."""

    queries: ManyTexts = Field(validation_alias=AliasChoices("queries", "query", "text_1", "data_1"))
    documents: ManyTexts = Field(validation_alias=AliasChoices("documents", "items", "text_2", "data_2"))

    def texts(self) -> list[Texts]:
        """The pairs to score. Raises InputError if the numbers of queries and documents do not fit."""
        queries = self.queries * len(self.documents) if len(self.queries) == 1 else self.queries
        if len(queries) != len(self.documents):
            raise InputError(
                f"{len(self.queries)} queries and {len(self.documents)} documents: give one query, or one for each document"
            )
        return [
            Texts(self.told, query, document) for query, document in zip(queries, self.documents, strict=True)
        ]

    def answer(self, scores: Sequence[Score], *, model: str, version: str) -> dict[str, Any]:
        """Scores in the order of the documents."""
        return {
            "id": f"score-{uuid.uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": model,
            "data": [
                {"index": place, "object": "score", "score": self.value(score)}
                for place, score in enumerate(scores)
            ],
            "usage": _usage(scores),
        }


AnyRequest = RerankRequest | ScoreRequest


def read(of: type[AnyRequest], content: Any, *, max_document_tokens: int) -> AnyRequest:
    """The request in a parsed body. Raises InputError, which names the first mistakes, their places and values."""
    if not isinstance(content, dict):
        raise InputError(f'the body is {kind(content)}, not an object; send {{"query": …, "documents": […]}}')
    try:
        request = of.model_validate(content)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_context=False)
        named = "; ".join(_mistake(mistake) for mistake in mistakes[:NAMED])
        more = len(mistakes) - NAMED
        raise InputError(named + (f"; and {more} more" if more > 0 else "")) from None
    wanted = request.max_tokens_per_doc
    if wanted is not None and wanted < max_document_tokens:
        raise InputError(
            f"max_tokens_per_doc {wanted}: this server cuts every document at {max_document_tokens} tokens, as a run"
            " does; leave it out, or start the server with another RERANK_MAX_DOCUMENT_TOKENS"
        )
    return request


def settled(outcomes: Sequence[Score | Refusal]) -> list[Score]:
    """The scores, if no pair was refused. Raises InputError, which names the first pair that was."""
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, Refusal):
            raise InputError(f"document {place} cannot be scored: {outcome.reason}")
    return [outcome for outcome in outcomes if isinstance(outcome, Score)]


def models(names: Sequence[str], *, max_document_tokens: int) -> dict[str, Any]:
    """The answer of /v1/models: an entry for each name."""
    entries = [
        {"id": name, "object": "model", "created": 0, "owned_by": "news-rerank", "root": names[0]}
        for name in names
    ]
    return {"object": "list", "data": entries, "max_document_tokens": max_document_tokens}


def failure(status: int, why: str, *, param: str | None = None) -> dict[str, Any]:
    """An error as clients of vLLM (`error`), Cohere (`message`) and Jina (`detail`) look for it."""
    kinds = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError"}
    error = {"message": why, "type": kinds.get(status, "ServerError" if status >= 500 else "RequestError")}
    return {"error": {**error, "param": param, "code": status}, "message": why, "detail": why}


def _usage(scores: Sequence[Score]) -> dict[str, int]:
    tokens = sum(score.prompt_tokens for score in scores)
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _mistake(mistake: Any) -> str:
    place = ".".join(map(str, mistake["loc"]))
    if mistake["type"] == "missing":
        return f"{place} is missing"
    if mistake["type"] == "too_long":
        return f"{place}: {len(mistake['input'])} are too many; {MOST_DOCUMENTS} is the most: send several requests"
    if mistake["type"] == "too_short":
        return f"{place}: it is empty; give at least one text"
    value = repr(mistake["input"])
    value = value if len(value) <= SHOWN else value[:SHOWN] + "…"
    return f"{place}: {mistake['msg'].removeprefix('Value error, ')} (it is {value})"
