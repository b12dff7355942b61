"""The store on S3, as a server of the real protocol sees it; and what is said where S3 refuses."""

import hashlib
import json
import logging
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from factories import FakeEngines, Newsroom, make_topic
from made_media import add_medium, outcomes, picture

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.errors import CorruptError, SettingsError, StoreUnavailable
from rerank_core.frontends import json_pages
from rerank_core.operations import maintain, removal
from rerank_core.operations.doctor.examine import examine
from rerank_core.settings import Settings
from rerank_core.storage import renditions, schemas
from rerank_core.storage.store import Store

pytestmark = pytest.mark.filterwarnings("default")  # the server's libraries warn on their own account
TABLE = pa.table({"n": pa.array([1, 2, 3], pa.int64())})
SECRET = "hunter/2+x"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server on this machine, as host:port; it has the bucket `news`, and lets everybody do everything."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    bare = pafs.S3FileSystem(
        access_key="a",
        secret_key="b",
        scheme="http",
        endpoint_override=f"{host}:{port}",
        allow_bucket_creation=True,
    )
    bare.create_dir("news")
    yield f"{host}:{port}"
    running.stop()


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


def s3_url(server: str, where: str = "news/folder", *, key: str = "key", secret: str = SECRET) -> str:
    return f"s3://{key}:{quote(secret, safe='')}@{where}?endpoint_override={server}&scheme=http"


def straight(server: str) -> pafs.S3FileSystem:
    """The bucket, not through the store."""
    return pafs.S3FileSystem(access_key="a", secret_key="b", scheme="http", endpoint_override=server)


def test_what_is_written_is_read_back_and_lies_where_the_path_says(server: str) -> None:
    store = Store(s3_url(server, "news/one"))
    artifact = store.write("news/a.parquet", TABLE)
    assert store.read(artifact.path, schema=TABLE.schema, sha256=artifact.sha256).equals(TABLE)
    assert store.full_path(artifact.path) == "s3://news/one/news/a.parquet"
    with straight(server).open_input_file("news/one/news/a.parquet") as stream:
        assert pq.read_table(stream).equals(TABLE)
    store.write_json("news/latest.json", b"{}")
    store.write_json("news/latest.json", b"[1]")
    assert store.read_json("news/latest.json") == b"[1]"
    with straight(server).open_input_file("news/one/news/latest.json") as stream:
        assert stream.metadata()["Content-Type"] == b"application/json; charset=utf-8"
        assert stream.metadata()["Cache-Control"] == b"no-cache"
    assert [(file.path, file.bytes) for file in store.files("news/")][1] == ("news/latest.json", 3)
    assert all(file.modified.tzinfo is not None for file in store.files("news/"))


def test_a_topics_page_may_be_cached_and_says_for_how_long(server: str) -> None:
    path = "news/pages/12-3f/solar.json"
    Store(s3_url(server, "news/cached")).write_json(path, b"{}")
    with straight(server).open_input_file(f"news/cached/{path}") as stream:
        assert stream.metadata()["Cache-Control"] == b"max-age=3600, immutable"


def test_files_and_folders_are_removed(server: str) -> None:
    store = Store(s3_url(server, "news/two"))
    for path in ("p/pages/1-ab/x.json", "p/pages/1-ab/y.json", "p/pages/1-abc/x.json", "p/latest.json"):
        store.write_json(path, b"{}")
    store.remove_folder("p/pages/1-ab/", ["p/pages/1-ab/x.json"])
    assert "p/pages/1-ab/y.json" in [file.path for file in store.files("p/")]
    both = ["p/pages/1-ab/x.json", "p/pages/1-ab/y.json"]
    store.remove_folder("p/pages/1-ab/", both)
    assert store.remove("p/latest.json")
    assert [file.path for file in store.files("p/")] == ["p/pages/1-abc/x.json"]
    assert not store.remove("p/latest.json")
    store.remove_folder("p/pages/1-ab/", both)
    assert store.files("none/") == []
    assert store.read_json("none.json") is None
    with pytest.raises(CorruptError, match="gone is not in s3://news/two"):
        store.read("gone", schema=TABLE.schema)


def test_a_large_file_goes_up_in_parts_and_whole(server: str) -> None:
    store = Store(s3_url(server, "news/three"))
    content = bytes(range(256)) * 100_000  # 25 MB
    store.write_json("large", content)
    assert store.read_json("large") == content


def test_check_writable_leaves_nothing(server: str) -> None:
    store = Store(s3_url(server, "news/four"))
    store.check_writable()
    assert store.files("") == []


def test_the_environment_may_say_where_the_server_is_and_who_asks(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = Store("s3://news/five")
    assert not store.has_credentials
    store.check_writable()


ATTEMPTS = ("write", "read", "files", "check_writable")


def attempt(store: Store, what: str) -> Exception:
    """What the store raises when it is asked for this."""
    asked: dict[str, Any] = {
        "write": lambda: store.write("a", TABLE),
        "read": lambda: store.read("a", schema=TABLE.schema),
        "files": lambda: store.files("news/"),
        "check_writable": store.check_writable,
    }
    with pytest.raises((SettingsError, StoreUnavailable, CorruptError)) as caught:
        asked[what]()
    said = [caught.value, caught.value.__cause__]
    assert not any(secret in str(error) for error in said for secret in (SECRET, quote(SECRET, safe="")))
    return caught.value


@pytest.mark.parametrize("what", ATTEMPTS)
def test_a_bucket_that_does_not_exist_is_named(server: str, what: str) -> None:
    error = attempt(Store(s3_url(server, "nobucket/folder")), what)
    assert isinstance(error, SettingsError)
    assert "s3://nobucket/folder" in str(error)
    assert "the bucket does not exist; create it, or correct RERANK_STORE_URL" in str(error)


@pytest.fixture
def strict_server(server: str) -> Iterator[tuple[str, str, str]]:
    """The server, as one that asks who one is; and a user of it that may do nothing."""
    import boto3

    iam = boto3.client(
        "iam",
        endpoint_url=f"http://{server}",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
    )
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]

    def free_requests(number: int) -> None:
        request = urllib.request.Request(
            f"http://{server}/moto-api/reset-auth",
            data=str(number).encode(),
            headers={"Content-Type": "text/plain"},
        )
        urllib.request.urlopen(request).close()

    free_requests(0)
    yield server, key["AccessKeyId"], key["SecretAccessKey"]
    free_requests(1_000_000_000)


def test_refusals_say_what_is_missing(strict_server: tuple[str, str, str]) -> None:
    server, key, secret = strict_server
    stranger = attempt(Store(s3_url(server)), "write")
    forged = attempt(Store(s3_url(server, key=key)), "write")
    assert isinstance(stranger, SettingsError)
    assert "the access key is not known; correct AWS_ACCESS_KEY_ID" in str(stranger)
    assert "the secret key is wrong; correct AWS_SECRET_ACCESS_KEY" in str(forged)
    for what in ATTEMPTS:
        error = attempt(Store(s3_url(server, key=key, secret=secret)), what)
        assert isinstance(error, SettingsError)
        assert "access denied; let these credentials list, get, put and delete here" in str(error)
        assert secret not in str(error)


class _Refusing(BaseHTTPRequestHandler):
    """Answers everything with one status and error code, as S3 words it."""

    status, code = 403, "AccessDenied"

    def refuse(self) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = refuse

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[tuple[str, type[_Refusing]]]:
    handler = type("Handler", (_Refusing,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}", handler
        running.shutdown()


@pytest.mark.parametrize("what", ATTEMPTS)
def test_missing_credentials_are_told_from_refused_ones(
    refusing: tuple[str, type[_Refusing]], what: str
) -> None:
    error = attempt(Store(f"s3://news/folder?endpoint_override={refusing[0]}&scheme=http"), what)
    assert isinstance(error, SettingsError)
    assert "there are no credentials in AWS_ACCESS_KEY_ID; set AWS_ACCESS_KEY_ID" in str(error)


@pytest.mark.parametrize("status", [301, 400])
def test_a_bucket_in_another_region_says_so(refusing: tuple[str, type[_Refusing]], status: int) -> None:
    refusing[1].status, refusing[1].code = status, "AuthorizationHeaderMalformed"
    error = attempt(Store(s3_url(refusing[0])), "write")
    assert isinstance(error, SettingsError)
    assert "the bucket is in another region; set AWS_REGION, or add ?region=" in str(error)


def test_a_server_that_is_away_may_be_there_another_time() -> None:
    error = attempt(Store(s3_url("127.0.0.1:1")), "write")
    assert isinstance(error, StoreUnavailable)
    assert "network connection; check the endpoint, the network and the region" in str(error)


def test_the_doctor_warns_of_credentials_in_the_url(server: str, database_url: str) -> None:
    settings = Settings.load(database_url=database_url, store_url=s3_url(server))
    found = {finding.name: finding for finding in examine(settings)}["store"]
    assert (found.state, found.advice) == (
        "warn",
        "put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: a URL is easily shown",
    )
    assert "hunter" not in found.found
    assert "hunter" not in repr(settings)


def publish(room: Newsroom) -> dict[str, Any]:
    """The same news at the same times in any newsroom."""
    hour = room.now.replace(minute=0, second=0, microsecond=0)
    room.follow("solar", make_topic(slug="wind", query="wind power"))
    for number, title in enumerate(("solar power", "wind power", "solar", "太阳 solar")):
        room.add(title, ingested_at=hour.replace(microsecond=number), source="desk")
    return room.run("k", until=hour.replace(second=1))["publish"]


def test_a_whole_run_gives_the_same_rows_on_s3_as_on_the_disk(
    server: str,
    database_url: str,
    store_url: str,
    postgres: EmbeddedPostgres,
    engines: FakeEngines,
) -> None:
    other_url = postgres.create("on_s3", template="template_news")  # that `database_url` has made
    rooms = [
        Newsroom(
            Settings.load(database_url=url, store_url=at, lookback_days=3000, freshness_hours=80_000), engines
        )
        for url, at in ((database_url, store_url), (other_url, s3_url(server, "news/run")))
    ]
    rooms[1].now = rooms[0].now
    local, remote = [publish(room) for room in rooms]
    assert local["rows"] == remote["rows"] == 8
    assert local["rows_sha256"] == remote["rows_sha256"]
    room, store = rooms[1], rooms[1].resources.store
    assert remote["parquet"] == f"s3://news/run/{remote['parquet_path']}"
    with straight(server).open_input_file(remote["parquet"].removeprefix("s3://")) as stream:
        assert pq.read_schema(stream).equals(schemas.PUBLISHED)
    assert room.run("k")["publish"]["difference"] is None  # frozen artifacts are read back from S3
    latest = json_pages.read_latest(store, "news")
    assert latest is not None
    assert (latest["version"], latest["publication_id"]) == (2, room.standing().publication_id)
    page = json.loads(store.read_json(latest["topics"]["solar"]["page"]) or b"")
    assert [article["article_id"] for article in page["articles"]] == room.page()
    cleaned_up(room, store)
    postgres.drop("on_s3")


def cleaned_up(room: Newsroom, store: Store) -> None:
    """A clean-up on S3 removes what is due and an orphan, and leaves the page."""
    room = room.tuned(store_grace_hours=1e-7)
    run_id = room.open("k").run_id
    orphan = f"news/runs/{run_id}/pairs-1-ab.parquet"
    store.write_json(orphan, b"x")
    room.sql("UPDATE rerank.store_removal SET due_at = now() - interval '1 second'")
    with room.database.transaction() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(1.1)")  # S3 tells times in whole seconds
    found = maintained(room)
    assert found.files_removed == 7  # with the files and feeds of the two topics of version 1
    assert found.files == found.files_named + found.files_removed
    latest = json_pages.read_latest(store, "news")
    assert latest is not None
    left = {file.path for file in store.files("news/")}
    assert {room.standing().parquet_path, *json_pages.paths(latest)} <= left
    assert orphan not in left


def test_pictures_are_read_from_the_bucket_kept_there_and_cleaned_up(server: str, room: Newsroom) -> None:
    room = room.tuned(store_url=s3_url(server, "news/media"), media=("pictures",))
    content = picture()
    with straight(server).open_output_stream("news/media/incoming/red.jpg") as stream:
        stream.write(content)
    room.follow("solar")
    room.add("a", body="about solar power")
    digest = add_medium(room, "a", path="incoming/red.jpg", sha256=hashlib.sha256(content).hexdigest())
    add_medium(room, "a", path="incoming/none.jpg", sha256=digest)
    room.run()
    assert [outcome.partition(":")[0] for outcome in outcomes(room)] == ["used", "missing"]
    store = room.resources.store
    (path,) = room.ranking()[0].pictures
    assert hashlib.sha256(renditions.read(store, path)).hexdigest() == renditions.digest_of(path)
    with straight(server).open_input_file(f"news/media/{path}") as kept:
        assert kept.metadata()["Content-Type"] == b"image/jpeg"
        assert kept.metadata()["Cache-Control"] == b"max-age=3600, immutable"
    gone = removal.forget(
        database=room.database, store=store, settings=room.settings, article_id="a", reason="asked"
    )
    assert gone.pictures == (path,)
    room.sql("UPDATE rerank.rendition SET used_at = now() - interval '1 day'")
    with room.database.transaction() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(1.1)")  # S3 tells times in whole seconds
    assert maintained(room.tuned(store_grace_hours=1e-7)).renditions_removed == 1
    assert store.files("shared.media/") == []
    assert [file.path for file in store.files("incoming/")] == ["incoming/red.jpg"], (
        "what others put there stays"
    )


def test_json_pages_that_were_lost_or_could_not_be_written_are_repaired(
    server: str, room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = room.tuned(store_url=s3_url(server, "news/hints"))
    store, bucket = room.resources.store, straight(server)
    room.follow("solar", "wind")
    room.add("solar power", "wind power")

    def away(*_: Any) -> None:
        raise StoreUnavailable("the store is away; try again")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_json", away)
        assert room.run("first")["publish"]["pages_failed"] == 2
    assert json_pages.read_latest(store, "news") is None
    assert maintained(room).repaired
    shown(room)
    bucket.delete_file(f"news/hints/{json_pages.paths(json_pages.read_latest(store, 'news') or {})[1]}")
    assert maintained(room).repaired
    shown(room)
    assert not maintained(room).repaired
    bucket.delete_file("news/hints/news/latest.json")
    assert room.run("second")["publish"]["pages_failed"] == 0
    shown(room)


def maintained(room: Newsroom) -> maintain.Maintained:
    return maintain.maintain(database=room.database, store=room.resources.store, settings=room.settings)


def shown(room: Newsroom) -> None:
    """The JSON pages are whole, and show what the view shows."""
    latest = json_pages.read_latest(room.resources.store, "news")
    assert latest is not None
    assert latest["publication_id"] == room.standing().publication_id
    for slug, topic in latest["topics"].items():
        page = json.loads(room.resources.store.read_json(topic["page"]) or b"")
        assert [article["article_id"] for article in page["articles"]] == room.page(slug)
