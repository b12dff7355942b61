"""`rerank articles load` takes the pictures and clips of one folder, and nothing else."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from factories import Newsroom
from made_media import picture

from rerank_core.errors import InputError
from rerank_core.extract import media_file
from rerank_core.extract.articles import LoadReport, load_articles
from rerank_core.extract.media_file import read_media
from rerank_core.storage import local_files


def load(
    room: Newsroom, folder: Path, *lines: dict[str, Any], media: bool = True
) -> tuple[LoadReport, list[str]]:
    file, told = folder / "articles.jsonl", list[str]()
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    report = load_articles(
        room.database,
        file,
        media=folder / "media" if media else None,
        on_bad_line=lambda number, reason: told.append(f"{number}: {reason}"),
    )
    return report, told


def stored(room: Newsroom) -> list[tuple[object, ...]]:
    rows = room.sql("SELECT article_id, place, kind, caption, alt FROM rerank.article_medium ORDER BY 1, 2")
    return [tuple(row) for row in rows]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "media" / "deep").mkdir(parents=True)
    (tmp_path / "media" / "red.jpg").write_bytes(picture("red"))
    (tmp_path / "media" / "deep" / "clip.mp4").write_bytes(b"a clip")
    (tmp_path / "secret.jpg").write_bytes(picture("blue"))
    (tmp_path / "media" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    return tmp_path


def test_media_of_the_folder_are_loaded_once_and_follow_the_file(room: Newsroom, folder: Path) -> None:
    line = {
        "id": "a",
        "title": "t",
        "media": [{"file": "red.jpg", "caption": "Red"}, {"file": "deep/clip.mp4", "alt": "x"}],
    }
    report, told = load(room, folder, line)
    assert (report.inserted, report.media, report.media_dropped, report.ignored, told) == (1, 2, 0, {}, [])
    assert stored(room) == [("a", 1, "picture", "Red", None), ("a", 2, "video", None, "x")]
    version = room.value("SELECT version FROM rerank.article")
    assert load(room, folder, line)[0].unchanged == 1
    assert room.value("SELECT version FROM rerank.article") == version
    load(room, folder, {**line, "media": [{"file": "red.jpg", "caption": "Blue"}]})
    assert stored(room) == [("a", 1, "picture", "Blue", None)]
    report, _ = load(room, folder, line, media=False)
    assert report.ignored == {"media": 1}
    assert len(stored(room)) == 1, "without the folder media stay as they are"


def test_what_is_no_file_of_the_folder_is_left_out_and_its_article_is_loaded(
    room: Newsroom, folder: Path
) -> None:
    wrong: list[Any] = [
        *(
            {"file": file}
            for file in ("../secret.jpg", "deep/../../secret.jpg", "/etc/passwd", "link.jpg", "none.jpg")
        ),
        *(
            {"file": file}
            for file in ("http://example.org/x.jpg", "file:///etc/passwd", "", ".", "..", "deep", "deep/")
        ),
        *(
            {"file": 7},
            {},
            "red.jpg",
            {"file": "red.jpg", "kind": "sound"},
            {"file": "red.jpg", "caption": "\ud800"},
        ),
    ]
    report, told = load(room, folder, {"id": "a", "media": wrong}, {"id": "b", "media": {"file": "red.jpg"}})
    assert (report.inserted, report.bad, report.media, report.media_dropped) == (2, 0, 0, len(wrong) + 1)
    assert len(told) == len(wrong) + 1
    assert all("; the article is loaded without it" in reason for reason in told)
    assert stored(room) == []


def test_a_folder_that_is_not_there_is_said(room: Newsroom, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        load(room, tmp_path, {"id": "a"})


def test_the_files_of_one_article_are_bounded_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{"file": "red.jpg"}, {"file": "deep/clip.mp4"}]
    assert len(read_media(lines, folder / "media").rows) == 2
    monkeypatch.setattr(media_file, "LARGEST", len(picture("red")) + 3)
    media = read_media(lines, folder / "media")
    assert [row["kind"] for row in media.rows] == ["picture"]
    assert media.dropped == ("with file 'deep/clip.mp4' the media of one article have more than 0 MiB",)


def test_a_file_that_may_not_be_read_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read every file, so the refusal is made here."""
    opened = os.open

    def refused(name: str, *options: Any, **more: Any) -> int:
        if name == "red.jpg":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(name, *options, **more)

    monkeypatch.setattr(local_files.os, "open", refused)
    media = read_media([{"file": "red.jpg"}, {"file": "deep/clip.mp4"}], folder / "media")
    assert [row["kind"] for row in media.rows] == ["video"]
    assert "may not be read" in media.dropped[0]
