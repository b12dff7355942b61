"""The server over HTTP, with a fake scorer: whatever a client does, it gets a clear answer, and nothing stays behind."""

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from served import NAMES, Served, served

from rerank_core.evaluation import desk as desks
from rerank_core.evaluation.routes import Limits, Routes
from rerank_core.models.base import FakeScorer

ASKED = {"query": "solar power", "documents": ["wind", "solar power plant"]}
QUICK = Limits(body_bytes=100_000, drained_bytes=2_000_000, body_seconds=0.5, score_seconds=0.6)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """One server for the tests that leave it as it was."""
    with served(limits=QUICK, header_seconds=0.5) as found:
        yield found


def settles(what: Callable[[], bool]) -> bool:
    """Whether this is so within some seconds."""
    give_up = time.monotonic() + 10
    while not what() and time.monotonic() < give_up:
        time.sleep(0.02)
    return what()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    got = b""
    while part := connection.recv(65_536):
        got += part
    return got


def status_of(raw: bytes) -> int:
    return int(raw.split(b" ", 2)[1])


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("model", [*NAMES, None, ""])
def test_every_route_and_name_gives_the_documents_best_first(
    server: Served, path: str, model: str | None
) -> None:
    answer = server.post(path, {**ASKED, "model": model})
    assert answer.status == 200
    assert [row["index"] for row in answer.body["results"]] == [1, 0]
    assert answer.body["results"][0]["document"] == {"text": "solar power plant"}
    assert answer.body["model"] == (model or NAMES[0])


def test_a_body_without_model_is_answered(server: Served) -> None:
    assert server.post("/v1/rerank", ASKED).status == 200


def test_an_unknown_model_gets_a_404_that_lists_the_names(server: Served) -> None:
    answer = server.post("/v1/rerank", {**ASKED, "model": "Qwen3-Reranker-0.6b"})
    assert answer.status == 404
    assert all(name in answer.why for name in NAMES)
    assert "perhaps 'Qwen3-Reranker-0.6B' is meant" in answer.why
    assert answer.body["message"] == answer.body["detail"] == answer.why


def test_the_models_route_lists_every_name(server: Served) -> None:
    assert tuple(row["id"] for row in server.get("/v1/models").body["data"]) == NAMES


@pytest.mark.parametrize(
    "path", ["/pooling", "/metrics", "/docs", "/openapi.json", "/v1/score/", "//v1/score", "/v3/rerank"]
)
def test_other_routes_are_closed(server: Served, path: str) -> None:
    for answer in (server.post(path, ASKED), server.get(path)):
        assert answer.status == 404
        assert "/v1/rerank" in answer.why


def test_a_wrong_method_is_named(server: Served) -> None:
    answer = server.get("/v1/rerank")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert server.post("/health", {}).headers["allow"] == "GET"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_what_a_page_of_the_web_may_send_unasked_is_refused(server: Served, kind: str) -> None:
    answer = server.post("/v1/rerank", ASKED, Content_Type=kind)
    assert answer.status == 415
    assert "application/json" in answer.why


def test_a_packed_body_is_refused(server: Served) -> None:
    assert server.post("/v1/rerank", ASKED, Content_Encoding="gzip").status == 415


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON: .* at character 2"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 50_000, "nested too deeply"),
        (b'{"query": ' + b"9" * 5_000 + b"}", "too many digits"),
        (b"[1]", "a list, not an object"),
        (b"null", "null, not an object"),
        (b"{}", "query is missing; documents is missing"),
        (b'{"query": 5, "documents": ["a"]}', "query: give a text.*it is 5"),
        (b'{"query": "q", "documents": []}', "documents: it is empty"),
        (b'{"query": "q", "documents": "a"}', "documents: Input should be a valid list"),
        (b'{"query": "q", "documents": ["a", null]}', r"documents\.1: give a text.*it is None"),
        (b'{"query": "q", "documents": [{"image": "x"}]}', r"documents\.0: give a text"),
        (b'{"query": "q", "documents": ["a"], "top_n": -1}', "top_n: .*greater than or equal to 0"),
        (b'{"query": "q", "documents": ["a"], "top_n": "2"}', "top_n: .*valid integer.*it is '2'"),
        (b'{"query": "q", "documents": ["a"], "use_activation": "no"}', "use_activation: "),
        (b'{"query": "q", "documents": ["a"], "model": 3}', "model: "),
        (b'{"query": "q", "documents": ["a"], "rank_fields": ["title"]}', "rank_fields: .*leave it out"),
        (b'{"query": "q", "documents": ["a"], "max_tokens_per_doc": 5}', "max_tokens_per_doc 5: .* 512"),
        (b'{"query": "q", "documents": [1, 2, 3, 4, 5]}', "and 2 more"),
    ],
)
def test_a_wrong_body_gets_a_400_that_names_place_and_value(server: Served, raw: bytes, why: str) -> None:
    answer = server.post("/v1/rerank", None, raw=raw)
    assert answer.status == 400
    assert re.search(why, answer.why), answer.why


def test_too_many_documents_are_refused_before_any_is_scored(server: Served) -> None:
    with served() as own:
        answer = own.post("/v1/rerank", {"query": "q", "documents": ["d"] * 1_001})
        assert (answer.status, own.built[0].chunks) == (400, 0)
        assert "1001 are too many; 1000 is the most" in answer.why


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\udfff tail", "\ud83d\ude00", "\u202e", "", " "])
def test_odd_texts_are_scored_as_a_run_scores_them(server: Served, text: str) -> None:
    answer = server.post("/v1/rerank", {"query": "solar", "documents": [text, {"text": text}]})
    assert answer.status == 200
    first, second = answer.body["results"]
    assert first["relevance_score"] == second["relevance_score"]
    assert "\0" not in first["document"]["text"]


def test_an_odd_model_name_is_a_name_that_is_not_served(server: Served) -> None:
    assert server.post("/v1/rerank", {**ASKED, "model": "a\0b"}).status == 404
    assert server.post("/v1/rerank", {**ASKED, "model": "\ud800"}).status in (400, 404)


def test_a_pair_that_the_scorer_refuses_is_named() -> None:
    with served(refuse_text="poison") as own:
        answer = own.post("/v1/rerank", {"query": "q", "documents": ["fine", "poison"]})
        assert answer.status == 400
        assert answer.why == "document 1 cannot be scored: told to refuse it"
        assert own.post("/v1/rerank", ASKED).status == 200


def test_a_body_over_the_bound_is_read_off_and_refused(server: Served) -> None:
    for size in (100_001, 1_500_000):
        answer = server.post("/v1/rerank", None, raw=b" " * size)
        assert answer.status == 413
        assert f"{size} bytes; 100000 is the most" in answer.why
    assert server.post("/v1/rerank", ASKED).status == 200


def test_a_body_that_announces_far_too_much_is_refused_unread(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        )
        connection.sendall(b"Content-Length: 99999999999\r\n\r\n")
        assert status_of(read_all(connection)) == 413


def test_a_chunked_body_over_every_bound_is_refused(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        )
        connection.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        got = b""
        with suppress(OSError):  # the server closes the connection before the end
            for _ in range(100):
                connection.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        with suppress(OSError):
            got = read_all(connection)
        assert not got or status_of(got) == 413
    assert settles(lambda: server.routes._requests == 0)


def test_headers_that_come_too_slowly_are_answered_and_closed(server: Served) -> None:
    with server.connect() as connection:
        began = time.monotonic()
        connection.sendall(b"POST /v1/rerank HTTP/1.1\r\n")
        with suppress(OSError):
            while time.monotonic() - began < 5:
                connection.sendall(b"x: y\r\n")
                time.sleep(0.05)
        assert time.monotonic() - began < 5
    assert settles(lambda: server.open_connections == 0)


def test_headers_of_a_second_request_may_not_come_slowly_either(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he")
        assert b"408" in read_all(connection)


def test_control_without_a_time_for_headers_a_slow_client_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(header_seconds=3_600) as own, own.connect() as connection:
        connection.sendall(b"POST /v1/rerank HTTP/1.1\r\n")
        time.sleep(1.0)
        connection.sendall(b"x: y\r\n")
        time.sleep(0.2)
        assert own.open_connections == 1


def test_a_body_that_comes_too_slowly_gets_a_408(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        )
        connection.sendall(b"Content-Length: 1000\r\n\r\n{")
        got = read_all(connection)
        assert status_of(got) == 408
        assert b"1 bytes of the body came in 0.5 s" in got
    assert settles(lambda: server.routes._requests == server.open_connections == 0)


def test_a_client_that_leaves_while_it_sends_leaves_nothing_behind(server: Served) -> None:
    for _ in range(20):
        with server.connect() as connection:
            connection.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n")
            connection.sendall(b"Content-Type: application/json\r\n\r\n{")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert settles(lambda: server.routes._requests == server.open_connections == 0)
    assert server.post("/v1/rerank", ASKED).status == 200


def slow_request(own: Served, documents: int) -> socket.socket:
    """A connection that has asked for so many documents."""
    connection = own.connect()
    body = json.dumps({"query": "q", "documents": ["d"] * documents}).encode()
    connection.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
    connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return connection


def test_a_client_that_leaves_while_it_waits_takes_its_pairs_along() -> None:
    with served(seconds_per_pair=0.02, pairs_per_chunk=4) as own:
        with slow_request(own, 1_000):
            assert settles(lambda: own.built[0].chunks > 0)
        assert settles(lambda: own.routes._requests == 0 and own.desk._waiting == 0)
        assert settles(lambda: not own.desk._requests)
        assert own.post("/v1/rerank", ASKED).status == 200
        assert own.built[0].chunks * 4 < 200, "1,000 pairs would take 20 s"


def test_a_request_that_takes_too_long_gets_a_503_and_leaves_the_desk() -> None:
    with served(limits=QUICK, seconds_per_pair=0.05, pairs_per_chunk=2) as own:
        answer = own.post("/v1/rerank", {"query": "q", "documents": ["d"] * 200})
        assert answer.status == 503
        assert "200 texts were not scored within 0.6 s" in answer.why
        assert answer.headers["retry-after"]
        assert settles(lambda: own.desk._waiting == 0)
        assert own.post("/v1/rerank", ASKED).status == 200


def test_a_short_request_does_not_wait_for_a_long_one() -> None:
    with served(seconds_per_pair=0.004, pairs_per_chunk=4) as own:
        with slow_request(own, 1_000):
            assert settles(lambda: own.desk._waiting > 0)
            began = time.monotonic()
            assert own.post("/v1/rerank", ASKED).status == 200
            assert time.monotonic() - began < 3  # the long one takes 4 s by itself
            assert own.routes._requests == 1


def test_too_many_requests_at_a_time_get_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(limits=Limits(requests=1), seconds_per_pair=0.01) as own:
        with slow_request(own, 100):
            assert settles(lambda: own.routes._requests == 1)
            answer = own.post("/v1/rerank", ASKED)
            assert (answer.status, "retry-after" in answer.headers) == (503, True)
            assert own.get("/health").status == 200


def test_too_many_pairs_that_wait_get_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "MOST_WAITING", 100)
    with served(seconds_per_pair=0.01) as own:
        with slow_request(own, 99):
            assert settles(lambda: own.desk._waiting > 0)
            answer = own.post("/v1/rerank", {"query": "q", "documents": ["d"] * 99})
            assert answer.status == 503
            assert "100 is the most" in answer.why


def test_64_clients_with_short_and_long_texts_get_their_own_scores() -> None:
    fake = FakeScorer()

    def wanted(document: str) -> float:
        from factories import make_pair

        from rerank_core.models.base import probability
        from rerank_core.records import DEFAULT_INSTRUCTION

        return probability(
            fake._score(
                make_pair(instruction=DEFAULT_INSTRUCTION, query="solar power", document=document)
            ).logit
        )

    with served() as own:

        def client(number: int) -> list[tuple[float, float]]:
            found = []
            for turn in range(5):
                text = f"solar {number} {turn} " + "long text " * (number % 4 * 2_000)
                body = {"query": "solar power", "documents": [text], "return_documents": False}
                answer = own.post("/v1/rerank", body)
                assert answer.status == 200, answer.raw
                found.append((answer.body["results"][0]["relevance_score"], text))
            return found

        with ThreadPoolExecutor(64) as clients:
            results = [pair for found in clients.map(client, range(64)) for pair in found]
        assert len(results) == 320
        assert all(score == pytest.approx(wanted(text), abs=1e-9) for score, text in results)
        assert own.routes._requests == own.desk._waiting == 0


def test_after_a_failed_step_the_next_request_has_a_new_engine() -> None:
    with served(fail_at_chunk=1) as own:
        assert own.post("/v1/rerank", ASKED).status == 200
        answer = own.post("/v1/rerank", ASKED)
        assert answer.status == 503
        assert "the engine failed" in answer.why
        assert own.post("/v1/rerank", ASKED).status == 200
        assert len(own.built) == 2
        assert own.built[0].finished


def test_a_server_whose_engine_cannot_start_again_ends_and_says_why() -> None:
    with served(fail_at_text="poison", refuse_builds=1) as own:
        assert own.post("/v1/rerank", {"query": "q", "documents": ["poison"]}).status == 503
        assert settles(lambda: own.server.should_exit)
        assert "no engine is left" in str(own.desk.death)


def test_what_was_taken_is_answered_when_the_server_is_told_to_end() -> None:
    with served(seconds_per_pair=0.01) as own:
        with slow_request(own, 64) as connection:
            assert settles(lambda: own.routes._requests == 1)
            own.server.should_exit = True
            assert status_of(read_all(connection)) == 200


def test_a_key_is_asked_for_on_every_route_but_health() -> None:
    with served(key="secret") as own:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
            answer = own.post("/v1/rerank", ASKED, **headers)
            assert answer.status == 401
            assert "secret" not in answer.why
        assert own.get("/v1/models").status == 401
        assert own.get("/health").status == 200
        assert own.post("/v1/rerank", ASKED, Authorization="Bearer secret").status == 200
        assert (
            own.post("/v1/rerank", ASKED, Authorization="Bearer secret", Host="scores.example").status == 200
        )


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.2:8000"]
)
def test_a_server_of_this_machine_answers_under_its_own_names(server: Served, host: str) -> None:
    assert server.post("/v1/rerank", ASKED, Host=host).status == 200


FOREIGN = [
    *(
        "evil.example:8000",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.7:8000",
    ),
    *("[::1", "[2001:db8::1]:8000", "localhost@evil.example", "0.0.0.0:8000", ""),
]


@pytest.mark.parametrize("host", FOREIGN)
def test_a_page_whose_name_was_pointed_here_is_refused(server: Served, host: str) -> None:
    assert server.post("/v1/rerank", ASKED, Host=host).status == 421


def scope(*hosts: bytes, server: str = "127.0.0.1") -> dict[str, Any]:
    return {"server": (server, 8000), "headers": [(b"host", host) for host in hosts]}


def test_a_request_without_a_name_or_with_two_is_refused(server: Served) -> None:
    for given in (scope(), scope(b"localhost", b"evil.example")):
        assert not server.routes._is_meant(given)
    assert server.routes._is_meant(scope(b"evil.example", server="192.0.2.7"))  # open to others by its key


def test_control_a_server_that_does_not_look_at_the_name_answers_any(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Routes, "_is_meant", lambda self, scope: True)
    assert server.post("/v1/rerank", ASKED, Host="evil.example").status == 200


def test_a_client_that_does_not_take_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from rerank_core.evaluation import serve

    monkeypatch.setattr(serve, "SEND_SECONDS", 0.5)
    with served() as own:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", own.port))
        with connection:
            body = json.dumps({"query": "q", "documents": ["long text " * 100_000] * 6}).encode()
            head = b"POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            for _ in range(2):  # the answer to the second waits for the first to be taken
                connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert settles(lambda: own.built[0].chunks >= 2)
            assert settles(lambda: own.open_connections == 0)


def test_connections_over_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from rerank_core.evaluation import serve

    monkeypatch.setattr(serve, "MOST_CONNECTIONS", 3)
    with served() as own:
        held = [own.connect() for _ in range(3)]
        assert settles(lambda: own.open_connections == 3)
        with own.connect() as one_more:
            assert status_of(read_all(one_more)) == 503
        for connection in held:
            connection.close()
        assert settles(lambda: own.open_connections == 0)
        assert own.post("/v1/rerank", ASKED).status == 200


def test_no_thread_stays_after_the_server() -> None:
    before = threading.active_count()
    with served() as own:
        own.post("/v1/rerank", ASKED)
    assert settles(lambda: threading.active_count() <= before)
