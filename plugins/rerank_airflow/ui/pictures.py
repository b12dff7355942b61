"""A picture of an article, from the store: this server's own answer, so that no browser asks a publisher for anything."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Response

from rerank_airflow.ui.access import Chosen
from rerank_core.errors import CorruptError
from rerank_core.observe import history
from rerank_core.storage import renditions
from rerank_core.storage.store import Store
from rerank_core.storage.store_headers import content_type

router = APIRouter()


@router.get("/picture")
def picture(pipeline: Chosen, file: Annotated[str, Query(max_length=200)]) -> Response:
    """The rendition at the path `file` of the store, if an article of the pipeline has it."""
    name = Store.parse(file)
    with history.reading(pipeline.database) as connection:
        if (
            name is None
            or name.sha256 is None
            or not history.has_picture(connection, pipeline=pipeline.name, path=file)
        ):
            raise HTTPException(404, f"No article of the pipeline {pipeline.name} has this picture.")
    try:
        content = renditions.read(Store(pipeline.settings.store_url), file)
    except CorruptError:
        raise HTTPException(
            404,
            "The store has no such picture: it is past retention, or this server does not share the store.",
        ) from None
    headers = {"ETag": f'"{name.sha256}"', "Cache-Control": "private, max-age=3600"}
    return Response(content, media_type=content_type(file), headers=headers)
