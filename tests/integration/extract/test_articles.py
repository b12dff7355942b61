"""Loading articles: each line in one bucket, twice changes nothing, nothing good is lost."""

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rerank_core.errors import DatabaseUnavailable, InputError
from rerank_core.extract import articles
from rerank_core.extract.articles import LoadProgress, LoadReport, load_articles
from rerank_core.storage.database import Database


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


def write(tmp_path: Path, *lines: dict[str, Any] | str, name: str = "news.jsonl") -> Path:
    file = tmp_path / name
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return file


def stored(database: Database) -> dict[str, dict[str, Any]]:
    with database.transaction() as connection:
        rows = connection.execute(text("SELECT * FROM rerank.article ORDER BY article_id")).mappings()
        return {row["article_id"]: dict(row) for row in rows}


def buckets(report: LoadReport) -> tuple[int, int, int, int, int]:
    return report.inserted, report.updated, report.unchanged, report.bad, report.blank


def test_every_field_comes_back_as_it_was_written(database: Database, tmp_path: Path) -> None:
    fields = {
        "url": 'https://news.example/?a=1,2&b="c"',
        "title": '引号" 逗号, 反斜杠\\ tab\t 行\r\n\\.\n尾',
        "summary": "",
        "body": "<p>\\N</p>\n\\.\nNULL",
        "lang": "zh",
        "source": "null",
    }
    load_articles(
        database, write(tmp_path, {"id": "\\.", **fields, "published_at": "2024-10-01T19:00:00.5+08:00"})
    )
    row = stored(database)["\\."]
    assert {name: row[name] for name in fields} == fields
    assert row["published_at"] == datetime(2024, 10, 1, 11, 0, 0, 500_000, tzinfo=UTC)
    assert datetime.now(UTC) - row["ingested_at"] < timedelta(minutes=1)


def test_every_line_lands_in_exactly_one_bucket(database: Database, tmp_path: Path) -> None:
    load_articles(database, write(tmp_path, {"id": "same", "title": "s"}, {"id": "old", "title": "o"}))
    bad: list[tuple[int, str]] = []
    report = load_articles(
        database,
        write(
            tmp_path,
            {"id": "new"},
            {"id": "old", "title": "edited"},
            {"id": "same", "title": "s"},
            "",
            "{broken",
            {"title": "no id"},
            {"id": "new", "title": ""},
            {"id": "new", "title": "other"},
        ),
        on_bad_line=lambda number, reason: bad.append((number, reason)),
    )
    assert buckets(report) == (1, 1, 2, 3, 1)
    assert report.lines == sum(buckets(report)) == 8
    assert report.complete
    assert [number for number, _ in bad] == [5, 6, 8]
    assert bad[-1][1] == "article_id is on line 1 already with other content; keep one of them"
    assert stored(database)["new"]["title"] == ""


def test_loading_twice_changes_nothing_whatever_the_batches(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(articles, "BATCH_ROWS", 3)
    lines = [{"id": f"{number % 7}", "title": f"{number}"} for number in range(20)]
    first = load_articles(database, write(tmp_path, *lines))
    before = stored(database)
    second = load_articles(database, write(tmp_path, *lines))
    assert buckets(first) == (7, 0, 0, 13, 0)
    assert buckets(second) == (0, 0, 7, 13, 0)
    assert stored(database) == before


def test_only_an_edited_article_gets_a_new_version_and_none_a_new_ingestion_time(
    database: Database, tmp_path: Path
) -> None:
    load_articles(database, write(tmp_path, {"id": "a", "title": "1"}, {"id": "b", "title": "1"}))
    before = stored(database)
    load_articles(database, write(tmp_path, {"id": "a", "title": "1"}, {"id": "b", "title": "2"}))
    after = stored(database)
    assert after["a"] == before["a"]
    assert after["b"]["version"] > before["b"]["version"]
    assert after["b"]["ingested_at"] == before["b"]["ingested_at"]


def test_what_was_read_of_a_cut_off_gzip_is_kept(database: Database, tmp_path: Path) -> None:
    content = "".join(json.dumps({"id": f"{i}", "title": f"{i * 7919}"}) + "\n" for i in range(5_000))
    packed = gzip.compress(content.encode())
    file = tmp_path / "news.jsonl.gz"
    file.write_bytes(packed[: len(packed) // 2])
    bad: list[str] = []
    report = load_articles(database, file, on_bad_line=lambda number, reason: bad.append(reason))
    assert not report.complete
    assert report.bad == len(bad) == 1
    assert report.inserted == len(stored(database)) == report.lines - 1 > 100


def test_published_now_moves_all_times_by_one_span(database: Database, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {"id": "old", "published_at": "2020-01-01T00:00:00Z"},
        {"id": "new", "published_at": "2020-01-02T00:00:00+00:00"},
        {"id": "none"},
        "{bad",
    )
    report = load_articles(database, file, published_now=True)
    rows = stored(database)
    assert buckets(report) == (3, 0, 0, 1, 0)
    assert abs(datetime.now(UTC) - rows["new"]["published_at"]) < timedelta(minutes=1)
    assert rows["new"]["published_at"] - rows["old"]["published_at"] == timedelta(days=1)
    assert rows["none"]["published_at"] is None


def test_a_date_that_means_none_is_loaded_as_none_counted_and_not_moved(
    database: Database, tmp_path: Path
) -> None:
    file = write(
        tmp_path,
        {"id": "none", "published_at": 0},
        {"id": "mysql", "published_at": "0000-00-00 00:00:00"},
        {"id": "mail", "published_at": "Wed, 01 Jan 2020 00:00:00 GMT"},
    )
    for published_now in (False, True):
        report = load_articles(database, file, published_now=published_now)
        assert (report.undated, report.bad, report.lines) == (2, 0, 3)
        dates = {article_id: row["published_at"] for article_id, row in stored(database).items()}
        assert (dates["none"], dates["mysql"]) == (None, None)
    assert abs(datetime.now(UTC) - dates["mail"]) < timedelta(minutes=1)


def test_a_time_that_cannot_be_moved_is_a_bad_line(database: Database, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {"id": "far", "published_at": "9999-12-31T00:00:00Z"},
        {"id": "near", "published_at": "2020-01-02T00:00:00+00:00"},
    )
    assert buckets(load_articles(database, file, published_now=True)) == (1, 0, 0, 1, 0)


@pytest.mark.parametrize("published_now", [False, True])
def test_a_pipe_is_read_like_a_file(database: Database, published_now: bool) -> None:
    reading, writing = os.pipe()
    os.write(writing, gzip.compress(b'{"id": "a", "published_at": "2020-01-02T00:00:00Z"}\n'))
    os.close(writing)
    try:
        report = load_articles(database, f"/dev/fd/{reading}", published_now=published_now)
    finally:
        os.close(reading)
    assert buckets(report) == (1, 0, 0, 0, 0)


def test_progress_ends_at_the_size_of_the_file(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(articles, "BATCH_ROWS", 10)
    file = write(tmp_path, *({"id": f"{number}", "title": "x" * 5_000} for number in range(95)))
    seen: list[LoadProgress] = []
    load_articles(database, file, on_progress=seen.append)
    assert [progress.lines for progress in seen] == [*range(10, 100, 10), 95]
    assert [progress.read_bytes for progress in seen] == sorted(progress.read_bytes for progress in seen)
    assert seen[-1].read_bytes == seen[-1].total_bytes == file.stat().st_size


def test_fields_that_the_source_lacks_are_counted(database: Database, tmp_path: Path) -> None:
    report = load_articles(
        database, write(tmp_path, {"id": "a", "category": 1}, {"id": "b", "category": 2, "x": 1})
    )
    assert report.ignored == {"category": 2, "x": 1}


def test_an_empty_file_is_an_empty_report(database: Database, tmp_path: Path) -> None:
    assert load_articles(database, write(tmp_path)) == LoadReport(0, 0, 0, 0, 0, 0, True, {})


@pytest.mark.parametrize("name", ["none.jsonl", "."])
def test_a_file_that_cannot_be_opened_is_one_sentence(database: Database, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read: .*; name a file of JSON lines"):
        load_articles(database, tmp_path / name)


def test_a_server_that_is_away_is_retryable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        load_articles(Database(f"postgresql+psycopg2://u@/x?host={tmp_path}"), write(tmp_path, {"id": "a"}))


def test_the_sample_loads_whole(database: Database) -> None:
    sample = Path(articles.__file__).parents[1] / "demo" / "sample" / "articles.jsonl"
    report = load_articles(database, sample, published_now=True)
    assert (report.bad, report.blank, report.ignored) == (0, 0, {})
    assert report.inserted >= 150
