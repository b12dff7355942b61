"""The file of a publication: whole or in ranges, part by part, and never an altered one for whole."""

import hashlib
import re
from base64 import b64decode

import pytest
from view_reader import PREFIX

from rerank_airflow.ui import download


@pytest.fixture
def published(news):
    """A publication with its file."""
    row = news.room.sql(
        "SELECT publication_id, parquet_path, parquet_sha256 FROM rerank.publication WHERE pipeline = 'news'"
        " ORDER BY publication_id LIMIT 1"
    )[0]
    return row.publication_id, news.store / row.parquet_path, row.parquet_sha256


@pytest.fixture
def load(client, published, monkeypatch):
    """Loads the file in parts of 100 bytes, with these headers."""
    monkeypatch.setattr(download, "PART_BYTES", 100)

    def loaded(**headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get(f"{PREFIX}/parquet", params={"publication": published[0]}, headers=given)

    return loaded


def test_the_view_of_a_run_leads_to_its_file(client, get, news):
    from pyarrow import BufferReader
    from pyarrow.parquet import read_table

    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    address = re.search(r'data-top href="([^"]*/parquet[^"]*)"', get("/run", run_id=run_id))
    assert address is not None
    answer = client.get(address[1].replace("&amp;", "&"))
    table = read_table(BufferReader(answer.content))
    assert set(table.column("run_id").to_pylist()) == {run_id}
    assert answer.headers["content-disposition"].startswith('attachment; filename="')


def test_the_whole_file_comes_with_its_digest_and_is_not_packed(load, published):
    _, file, sha256 = published
    answer = load(accept_encoding="gzip")
    assert (answer.status_code, answer.content) == (200, file.read_bytes())
    assert answer.headers["content-encoding"] == "identity"
    assert answer.headers["content-length"] == str(file.stat().st_size)
    assert answer.headers["accept-ranges"] == "bytes"
    digest = re.fullmatch("sha-256=:(.*):", answer.headers["repr-digest"])
    assert b64decode(digest[1]).hex() == sha256 == hashlib.sha256(answer.content).hexdigest()


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=4-449", 4, 450), ("bytes=700-", 700, None), ("bytes=-8", -8, None)],
)
def test_a_range_is_given(load, published, asked, start, end):
    content = published[1].read_bytes()
    answer = load(range=asked)
    assert (answer.status_code, answer.content) == (206, content[start:end])
    first = start if start >= 0 else len(content) + start
    assert (
        answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(content)}"
    )
    assert answer.headers["content-length"] == str(len(answer.content))


def test_a_range_beyond_the_file_is_refused_and_what_is_no_range_is_the_whole(load, published):
    size = published[1].stat().st_size
    for asked in (f"bytes={size}-", "bytes=9-8", "bytes=-0"):
        answer = load(range=asked)
        assert (answer.status_code, answer.headers.get("content-range")) == (416, f"bytes */{size}")
    for asked in ("bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=" + "9" * 40 + "-"):
        assert load(range=asked).status_code == 200
    tag = f'"{published[2]}"'
    assert load(range="bytes=0-3", if_range=tag).status_code == 206
    assert load(range="bytes=0-3", if_range='"of another file"').status_code == 200


def test_an_altered_file_breaks_off_before_its_end(load, published):
    _, file, _ = published
    content = file.read_bytes()
    file.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    try:
        with pytest.raises(OSError, match="was altered"):
            load()
    finally:
        file.write_bytes(content)


class Endless:
    """A file of many gigabytes, of which every part that is read is counted."""

    def __init__(self):
        self.read_bytes = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def read(self, size):
        self.read_bytes += size
        return bytes(size)


def test_no_more_than_a_part_is_in_memory_ahead_of_the_reader():
    stream = Endless()
    parts = download._whole(stream, "")
    for number in range(1, 5):
        assert len(next(parts)) == download.PART_BYTES
        assert stream.read_bytes <= (number + 1) * download.PART_BYTES
    parts.close()
    assert stream.closed


def test_a_file_that_is_withdrawn_gone_or_of_another_pipeline_is_not_given(get, news, published):
    publication_id, file, _ = published
    get("/parquet", status=404, pipeline="shadow", publication=publication_id)
    news.room.sql(
        "UPDATE rerank.publication SET withdrawn_at = now() WHERE publication_id = :id", id=publication_id
    )
    assert "was forgotten since" in get("/parquet", status=404, publication=publication_id)
    news.room.sql(
        "UPDATE rerank.publication SET withdrawn_at = NULL WHERE publication_id = :id", id=publication_id
    )
    content = file.read_bytes()
    file.unlink()
    said = get("/parquet", status=404, publication=publication_id)
    assert "past retention" in said
    assert str(news.store) not in said
    file.write_bytes(content)
