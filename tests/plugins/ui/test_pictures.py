"""Pictures in the views: from this server alone, for those who may see the pipeline, escaped like all text of strangers."""

import hashlib
from collections.abc import Iterator

import pytest
from made_media import picture
from view_reader import PREFIX, Reader, offences

from rerank_core.prepare.pictures import small
from rerank_core.storage import renditions
from rerank_core.storage.rendition_names import rendition_path
from rerank_core.storage.renditions import Rendition

HOSTILE = '"><img src=x onerror=hit()> A red field'


@pytest.fixture
def shown(news) -> Iterator[tuple[str, str]]:
    """Article and path of a picture in the pipeline news; beside it a clip that was dropped."""
    room = news.room
    made = small("picture", picture())
    path = rendition_path(hashlib.sha256(made.content).hexdigest(), is_clip=False)
    with room.database.transaction() as connection:
        rendition = Rendition(path, made.content, made.width, made.height, 1)
        renditions.keep(connection, room.resources.store, {path: rendition})
    row = next(row for row in room.ranking("ai-policy") if row.pipeline == "news")
    room.sql(
        "INSERT INTO rerank.revision_medium (revision_id, place, kind, sha256, outcome, shown_caption, rendition) VALUES"
        " (:id, 1, 'picture', '', 'used', :caption, :path),"
        " (:id, 2, 'video', '', 'format: it is an HLS playlist', NULL, NULL)",
        id=row.revision_id,
        caption=HOSTILE,
        path=path,
    )
    yield row.article_id, path
    room.sql("DELETE FROM rerank.revision_medium WHERE revision_id = :id", id=row.revision_id)


def test_an_article_shows_its_pictures_and_why_others_were_dropped(get, client, shown):
    article_id, path = shown
    view = get("/article", id=article_id)
    assert offences(view) == []
    (address,) = {dict(found)["src"] for tag, found in Reader(view).tags if tag == "img" and "width" in found}
    assert address.startswith(f"{PREFIX}/picture?")
    assert HOSTILE in Reader(view).text
    assert "it is an HLS playlist" in Reader(view).text
    answer = client.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert hashlib.sha256(answer.content).hexdigest() == renditions.digest_of(path)


def test_only_pictures_of_the_pipeline_are_served(client, anonymous, news, shown):
    _, path = shown

    def status(wanted: str, pipeline: str = "news") -> int:
        answer = client.get(f"{PREFIX}/picture", params={"pipeline": pipeline, "file": wanted})
        return answer.status_code

    assert status(path) == 200
    assert status(path, "shadow") == 404
    latest = next(news.store.glob("news/rankings/**/*.parquet")).relative_to(news.store)
    for wrong in (
        str(latest),
        "../" + path,
        "/etc/passwd",
        rendition_path("0" * 64, is_clip=False),
        "",
        path + "/",
    ):
        assert status(wrong) == 404
    assert anonymous.get(f"{PREFIX}/picture", params={"pipeline": "news", "file": path}).status_code == 401


def test_an_altered_picture_is_not_served(client, news, shown):
    _, path = shown
    file = news.store / path
    content = file.read_bytes()
    file.write_bytes(content + b"x")
    assert client.get(f"{PREFIX}/picture", params={"pipeline": "news", "file": path}).status_code == 404
    file.write_bytes(content)
