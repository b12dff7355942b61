"""Preview: a topic that an author pastes, or a stored one, against the current window. Nothing is written or scored."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated

import yaml
from fastapi import APIRouter, HTTPException, Query, Request, Response

from rerank_airflow.ui.access import Chosen, Pipeline
from rerank_airflow.ui.paging import ROWS, PartNumber
from rerank_airflow.ui.paging import Part as ListPart
from rerank_airflow.ui.render import render
from rerank_core.errors import InputError
from rerank_core.observe import history
from rerank_core.operations.preview.preview import preview as look
from rerank_core.operations.preview.records import Preview
from rerank_core.recall.lint import Remark, lint
from rerank_core.records import Topic
from rerank_core.storage import topics
from rerank_core.storage.topics_file import TopicsFile, checked, read_topics
from rerank_core.storage.topics_values import Place

LONGEST = 6_000  # characters of a pasted text: it is part of an address
ARTICLES = 5_000  # the newest of the window: a view must not be a burden to the runs
MOST_TOPICS = 20  # of a pasted text
PASTED = "what you pasted"

EXAMPLE = """slug: ai-policy
query: "China's plan for artificial intelligence"
queries: {zh: "中国人工智能发展规划"}
"""

router = APIRouter()


@dataclass(frozen=True)
class Tried:
    """What came of a text: a preview, or why there is none."""

    text: str
    problem: str | None = None
    slugs: tuple[str, ...] = ()  # of the text's topics
    remarks: tuple[Remark, ...] = ()  # on the topic that is shown
    found: Preview | None = None


@router.get("/preview")
def preview(
    request: Request,
    pipeline: Chosen,
    slug: Annotated[str, Query(max_length=200)] = "",
    text: Annotated[str, Query(max_length=LONGEST)] = "",
    topic: Annotated[str, Query(max_length=200)] = "",
    page: PartNumber = 1,
) -> Response:
    """The stored topic `slug`, or the topic `topic` of `text`, and a form to try another."""
    with history.reading(pipeline.database) as connection:
        stored = topics.current_topics(connection, pipeline.name)
    if slug and not text:
        chosen = next((each for each in stored if each.slug == slug), None)
        if chosen is None:
            raise HTTPException(
                404,
                f"The pipeline {pipeline.name} has no active topic {slug}; the list here shows those it has.",
            )
        text = as_yaml(chosen)
    tried = _try(pipeline, text, topic, rows=page * ROWS) if text.strip() else Tried(EXAMPLE)
    shown = tried.found.topics[0] if tried.found else None
    return render(
        request,
        "preview.html",
        tab="preview",
        pipeline=pipeline,
        stored=[each.slug for each in stored],
        tried=tried,
        shown=shown,
        rows=shown.rows[(page - 1) * ROWS :] if shown else (),
        part=ListPart(at=page, size=ROWS, total=shown.row_count) if shown else None,
        longest=LONGEST,
    )


def as_yaml(topic: Topic) -> str:
    """The topic as a topics file has it, without what is the default."""
    default = Topic(slug=topic.slug, query=topic.query)
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(topic).items()
        if name in {"slug", "query"} or value != getattr(default, name)
    }
    written = {
        each.name: values[each.name]
        for each in fields(Topic)
        if each.name in values and each.name not in {"topic_version_id", "number"}
    }
    return str(yaml.safe_dump(written, allow_unicode=True, sort_keys=False, width=1_000))


def _try(pipeline: Pipeline, text: str, wanted: str, *, rows: int) -> Tried:
    file = read(text)
    try:
        pasted = checked(file, PASTED)
        if not pasted:
            raise InputError(f"{PASTED} has no topic; begin it with `slug:`")
        if len(pasted) > MOST_TOPICS:
            raise InputError(
                f"{PASTED} has {len(pasted)} topics, {MOST_TOPICS} is the most; paste fewer of them"
            )
        chosen = wanted if wanted in {topic.slug for topic in pasted} else pasted[0].slug
        found = look(
            pipeline.database,
            pipeline.settings,
            pasted,
            shown=[chosen],
            rows=rows,
            most_articles=ARTICLES,
        )
    except InputError as error:
        return Tried(text, problem=str(error))
    return Tried(
        text,
        slugs=tuple(topic.slug for topic in pasted),
        remarks=tuple(remark for remark in lint(file) if remark.topic == chosen),
        found=found,
    )


def read(text: str) -> TopicsFile:
    """A whole topics file, a list of topics, or the fields of one topic; places are those in the text."""
    if text.lstrip().startswith("topics:"):
        return read_topics(_bytes(text))
    lines = text.splitlines()
    if not text.lstrip().startswith("-"):
        lines = [("- " if number == 0 else "  ") + line for number, line in enumerate(lines)]
    found = read_topics(_bytes("\n".join(["topics:", *lines])))
    return replace(
        found,
        problems=[
            replace(problem, place=problem.place and _line_before(problem.place))
            for problem in found.problems
        ],
        places=[{name: _line_before(place) for name, place in each.items()} for each in found.places],
    )


def _line_before(place: Place) -> Place:
    return replace(place, line=max(1, place.line - 1))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
