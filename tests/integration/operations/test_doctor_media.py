"""The doctor says what is wrong with the view of media, before a run finds out."""

import pytest
from factories import Newsroom

from rerank_core.errors import SourceError
from rerank_core.operations.doctor.media import check_media
from rerank_core.prepare import clips


def test_a_pipeline_without_media_hears_nothing_of_them(room: Newsroom) -> None:
    assert check_media(room.settings) is None


def test_the_view_of_media_is_checked_like_that_of_articles(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "has_decoder", True)
    shown = room.tuned(media=("pictures",)).settings
    found = check_media(shown)
    assert found is not None
    assert (found.state, found.found) == ("ok", "rerank.source_media has every column, with its type")
    monkeypatch.setattr(clips, "has_decoder", False)
    found = check_media(shown)
    assert found is not None
    assert (found.state, "PyAV is not installed" in found.found) == ("warn", True)
    told = check_media(room.tuned(media=("captions",)).settings)
    assert told is not None
    assert told.state == "ok", "captions need no decoder"
    room.sql(
        "CREATE VIEW public.media AS SELECT article_id, place, kind, sha256, content, path, 1 AS caption FROM rerank.article_medium"
    )
    with pytest.raises(SourceError, match="caption is integer; write CAST.* column alt is missing"):
        check_media(room.tuned(media=("pictures",), media_view="public.media").settings)
    with pytest.raises(SourceError, match="public.none does not exist; create it, or set RERANK_MEDIA_VIEW"):
        check_media(room.tuned(media=("pictures",), media_view="public.none").settings)
