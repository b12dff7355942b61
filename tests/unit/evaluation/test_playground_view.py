"""The view of the playground over HTTP: an upload reaches the desk behind it as it came, and nothing comes from elsewhere."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from made_media import picture

PICTURE = 3  # the place of the first of a picture's fields: which text, the file, an article
# The view in a process of its own. Its desk reads pictures, and answers with what it was asked and what Gradio has fetched.
SERVE = """
import hashlib, socket, uvicorn
from gradio import processing_utils
from rerank_core.evaluation.playground import Answer, Entry, Scored
from rerank_core.evaluation.playground_view import build

fetched = []
async def fetch(url, **_):
    fetched.append(url)
    return __file__
processing_utils.async_ssrf_protected_download = fetch

class Desk:
    blind = None
    def topics(self):
        return []
    def ask(self, slug, query, instruction, fields, pictured=None):
        upload = pictured and pictured.upload
        told = f"{pictured and pictured.number} {upload and hashlib.sha256(upload).hexdigest()} {fetched}"
        return Answer((Scored(Entry(1, told, "en"), query, 1.5, len(told), None),), 0.1, 9, "fake")

with socket.create_server(("127.0.0.1", 0)) as listener:
    app = build(Desk(), title="a scorer", upload_mib=1)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of the view."""
    pytest.importorskip("gradio", reason="gradio is not installed (extra `playground`)")
    import httpx

    folder = tmp_path_factory.mktemp("playground")
    (folder / "serve.py").write_text(SERVE)
    environment = os.environ | {
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", folder / "serve.py"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as served:
        assert served.stdout is not None
        port = served.stdout.readline().strip()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
            yield client
        served.terminate()


def press(client: Any, file: object) -> tuple[bool, str]:
    """Press the button with a file in its field: whether the event ended well, and what the view shows."""
    config = client.get("/config").json()
    (button,) = [each for each in config["dependencies"] if [*each["targets"], [0, 0]][0][1] == "click"]
    data: list[Any] = ["" for _ in button["inputs"]]
    data[0], data[1], data[PICTURE], data[PICTURE + 1], data[PICTURE + 3] = None, "solar", 1, file, "a text"
    sent = {"data": data, "fn_index": button["id"], "session_hash": os.urandom(4).hex()}
    joined = client.post("/gradio_api/queue/join", json=sent)
    assert joined.status_code == 200, joined.text
    with client.stream(
        "GET", "/gradio_api/queue/data", params={"session_hash": sent["session_hash"]}
    ) as stream:
        for line in stream.iter_lines():
            told = json.loads(line.removeprefix("data: ")) if line else {}
            if told.get("msg") == "process_completed":
                return bool(told["success"]), json.dumps(told["output"])
    raise AssertionError("the event never ended")


def named(path: str) -> dict[str, Any]:
    """A file as the view names it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_an_upload_reaches_the_desk_as_it_came(client: Any) -> None:
    content = picture()
    (path,) = client.post("/gradio_api/upload", files={"files": ("a.svg", content)}).json()
    is_well, shown = press(client, named(path))
    assert is_well
    assert f"1 {hashlib.sha256(content).hexdigest()} []" in shown
    is_well, shown = press(client, None)
    assert is_well
    assert "None None []" in shown


@pytest.mark.parametrize(
    "where", ["http://127.0.0.1:9/x.jpg", "https://example.org/x.jpg", "/etc/hostname", "../serve.py"]
)
def test_a_file_from_elsewhere_is_neither_read_nor_fetched(client: Any, where: str) -> None:
    assert not press(client, named(where))[0]
    is_well, shown = press(client, None)
    assert is_well
    assert "None None []" in shown, "nothing was fetched"
    assert client.get(f"/gradio_api/file={where}", follow_redirects=False).status_code >= 300


def test_a_large_upload_and_one_from_a_page_of_the_web_are_refused(client: Any) -> None:
    def status(content: bytes, **headers: str) -> int:
        answer = client.post("/gradio_api/upload", files={"files": ("a.jpg", content)}, headers=headers)
        return int(answer.status_code)

    assert status(b"x", Origin=str(client.base_url).rstrip("/")) == 200
    assert status(b"x", Origin="http://attacker.example") == 403
    assert status(b"x", Origin="null") == 403
    assert status(bytes(2 << 20)) == 413
    assert client.post("/gradio_api/process_recording", files={"video": ("a.mp4", b"x")}).status_code == 403
