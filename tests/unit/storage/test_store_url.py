"""A store's URL with a slip becomes no folder: it is refused, with what to write."""

import os
from pathlib import Path

import pytest

from rerank_core.errors import SettingsError
from rerank_core.storage.store import Store
from rerank_core.storage.store_url import as_uri


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3:/my-bucket/news", "s3: lacks its two slashes; write s3://my-bucket/news"),
        ("gs:/b", "gs: lacks its two slashes; write gs://b"),
        ("s3:b", "s3: lacks its two slashes; write s3://b"),
        ("s3:", "s3: lacks its two slashes; write s3://bucket"),
        ("file:tmp/x", "file: lacks its two slashes; write file:///tmp/x"),
        ("file://tmp/x", "file:// takes no host; write file:///tmp/x"),
        ("file://~/x", "file:// takes no host; write file:///~/x"),
        ("s3://", "it names no bucket; write s3://bucket"),
        ("s3:///b/news", "it names no bucket; write s3://b/news"),
        ("gs:///b", "it names no bucket; write gs://b"),
        ("~/store", "no shell replaces the ~; write the home folder's absolute path"),
        (r"C:\store", "it is a path of Windows; write the folder's path on this host, which begins with /"),
        ("C:/store", "it is a path of Windows; write the folder's path on this host, which begins with /"),
        (r"\\host\share", "it is a path of Windows; write the folder's path on this host"),
        ("", "it is empty, or has white space around it; use file:///folder, s3:// or gs://"),
        (" /tmp/x", "it is empty, or has white space around it"),
        ("/tmp/x\n", "it is empty, or has white space around it"),
        ("S3://bucket", "its scheme is not known; write s3:// in small letters"),
        ("az://x", "its scheme is not known; use file:///folder, s3:// or gs://, or an absolute path"),
        ("http://host/x", "its scheme is not known; use file:///folder"),
        ("mock:///x", "its scheme is not known; use file:///folder"),
        ("az:/x", "its scheme is not known, and a scheme ends with ://; use file:///folder"),
        (
            "file:///tmp/a b",
            "percent-encode it: %20 for a blank, %23 for #, %3F for ?, or write the plain path",
        ),
        (
            "file:///tmp/a#b",
            "percent-encode it: %20 for a blank, %23 for #, %3F for ?, or write the plain path",
        ),
        (
            "file:///tmp/a?b",
            "percent-encode it: %20 for a blank, %23 for #, %3F for ?, or write the plain path",
        ),
        ("file:///tmp/中", "percent-encode it"),
        ("s3://bucket/a b", "percent-encode it: %20 for a blank, %23 for #, %3F for ?"),
        ("s3://bucket/a#b", "percent-encode it: %20 for a blank, %23 for #, %3F for ?"),
    ],
)
def test_a_slip_is_refused_with_what_to_write(url: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Store(url)
    assert str(caught.value).startswith("RERANK_STORE_URL = '")
    assert said in str(caught.value)
    assert str(caught.value).count("; ") == 1  # what is wrong; what to do: the doctor shows both


@pytest.mark.parametrize("url", ["news", "./store", "../store", "a/b", "."])
def test_a_relative_folder_is_refused_with_its_absolute_path(url: str) -> None:
    with pytest.raises(
        SettingsError, match="is relative: each process would begin at its own folder"
    ) as caught:
        Store(url)
    assert str(caught.value).endswith(f"; write {Path(url).resolve()}")
    assert not Path(url).exists() or url in {".", "../store"}


@pytest.mark.parametrize(
    "url",
    [
        "s3:/KEY:hunter2@bucket",
        "s3:///KEY:hunter2@bucket",
        "S3://KEY:hunter2@b",
        "KEY:hunter2@b",
        "s3://a:hunter 2@b",
    ],
)
def test_a_slip_shows_no_secret(url: str) -> None:
    with pytest.raises(SettingsError, match=r"RERANK_STORE_URL = '\(hidden\)' is not a store") as caught:
        Store(url)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("/tmp/x", "/tmp/x"),
        ("/tmp/a b#c", "/tmp/a b#c"),
        ("/tmp/a://b", "/tmp/a:/b"),
        ("file:///tmp/x", "/tmp/x"),
        ("file:///tmp/a%20b%23c", "/tmp/a b#c"),
        ("file:/tmp/x", "/tmp/x"),
        ("file:/tmp/a%20b", "/tmp/a b"),
        ("file://localhost/tmp/x", "/tmp/x"),
    ],
)
def test_an_absolute_path_and_a_file_url_name_the_folder(url: str, folder: str) -> None:
    assert Store(url).local_folder == Path(folder)


def test_a_bucket_of_a_known_scheme_is_taken_as_it_is() -> None:
    assert as_uri("gs://bucket/news") == "gs://bucket/news"
    assert as_uri("s3://bucket/news") == "s3://bucket/news?allow_delayed_open=true"
    assert (
        as_uri("s3://key:secret@bucket?region=x") == "s3://key:secret@bucket?region=x&allow_delayed_open=true"
    )


def test_control_a_path_that_is_not_checked_becomes_a_folder_below_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rerank_core.storage.store_url.as_uri", lambda url: Path(url).resolve().as_uri())
    Store("s3:/my-bucket/news").check_writable()
    assert os.listdir(tmp_path) == ["s3:"]  # noqa: PTH208
