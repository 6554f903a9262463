"""The image server: what each action and each named answer sends, and that it ends whatever its clients do."""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import trustme

from local.images.server import (
    Action,
    Answer,
    End,
    ImageServer,
    Pause,
    Repeat,
    WaitFor,
    cut_after,
    failing,
    head,
    held,
    html,
    in_pieces,
    ok,
    reset_after,
    reset_at_once,
    slow,
    stalled,
    unavailable,
)

BODY = bytes(range(256)) * 40
LAST = "Connection: close\r\n"


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer() as server:
        yield server


@contextlib.contextmanager
def connection(server: ImageServer, *requests: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall("".join(f"{request}\r\n" for request in requests).encode())
        yield client


def asked(more: str = "", method: str = "GET", version: str = "HTTP/1.1") -> str:
    return f"{method} /a {version}\r\nHost: x\r\n{more}"


def read_to_end(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def played(server: ImageServer, *answer: Action) -> bytes:
    """Return everything that one client receives."""
    server.script("/a", answer)
    with connection(server, asked()) as client:
        return read_to_end(client)


def is_silent(client: socket.socket) -> bool:
    client.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(10)
    return True


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=10)


class TestActions:
    def test_bytes_are_sent_unchanged_until_the_end(self, server: ImageServer) -> None:
        assert played(server, b"no ", Pause(0.001), b"HTTP", Repeat(BODY, 300), End(), b"x") == b"no HTTP" + BODY * 300

    def test_a_connection_is_reset(self, server: ImageServer) -> None:
        with pytest.raises(ConnectionResetError):
            played(server, End(reset=True))

    def test_a_pause_holds_back_nothing_that_comes_before_it(self, server: ImageServer) -> None:
        server.script("/a", [BODY, Pause()])
        with connection(server, asked()) as client:
            assert client.recv(len(BODY), socket.MSG_WAITALL) == BODY
            assert is_silent(client)

    def test_the_answer_continues_when_the_event_has_happened(self, server: ImageServer) -> None:
        event = threading.Event()
        server.script("/a", [WaitFor(event), b"now", End()])
        with connection(server, asked()) as client:
            assert is_silent(client)
            event.set()
            assert read_to_end(client) == b"now"


class TestNamedAnswers:
    @pytest.mark.parametrize(
        ("answer", "status", "content_type", "body"),
        [
            (ok(BODY), 200, "application/octet-stream", BODY),
            (ok(b"", "image/png"), 200, "image/png", b""),
            (failing(404), 404, "text/plain", b""),
            (failing(599, b"broken"), 599, "text/plain", b"broken"),
            (unavailable(), 503, "text/plain", b""),
            (html("<p>"), 200, "text/html; charset=utf-8", b"<p>"),
            (stalled(BODY, seconds=0.001), 200, "application/octet-stream", BODY),
            (slow(BODY, piece=1000, pause=0.001), 200, "application/octet-stream", BODY),
        ],
    )
    def test_a_complete_answer_keeps_the_connection_open(
        self, server: ImageServer, answer: Answer, status: int, content_type: str, body: bytes
    ) -> None:
        url = server.script("/a", answer)
        with requests.Session() as session:
            for _ in range(3):
                sent = session.get(url, timeout=10)
                assert (sent.status_code, sent.headers["Content-Type"], sent.content) == (status, content_type, body)
                assert sent.headers["Content-Length"] == str(len(body))
        assert server.accepted == 1

    def test_a_busy_server_says_when_to_retry(self, server: ImageServer) -> None:
        sent = get(server.script("/a", unavailable(429, retry_after=7)))
        assert (sent.status_code, sent.headers["Retry-After"]) == (429, "7")

    def test_cut_slow_and_held_answers(self) -> None:
        event = threading.Event()
        assert stalled(BODY) == [Pause(), *ok(BODY)]
        assert held(BODY, event) == [WaitFor(event), *ok(BODY)]
        assert in_pieces(b"abc", 2, 5) == [Pause(5), b"ab", Pause(5), b"c"]
        assert slow(b"ab", pause=5) == [head(2), Pause(5), b"a", Pause(5), b"b"]
        assert cut_after(BODY, 1000) == [head(len(BODY)) + BODY[:1000], End()]
        assert reset_after(BODY, 1000) == [head(len(BODY)) + BODY[:1000], End(reset=True)]
        assert reset_at_once() == [End(reset=True)]


class TestServing:
    def test_the_suffix_decides_the_type(self, server: ImageServer) -> None:
        for path, name in (("/a.jpg", "image/jpeg"), ("/b.WEBP?n=1", "image/webp"), ("/c", "application/octet-stream")):
            sent = get(server.add(path, BODY))
            assert (sent.content, sent.headers["Content-Type"]) == (BODY, name)

    def test_the_files_of_a_folder_are_served(self, tmp_path: Path) -> None:
        (tmp_path / "größe 1.jpg").write_bytes(BODY)
        with ImageServer(tmp_path) as server:
            assert get(server.url("/gr%C3%B6%C3%9Fe%201.jpg?size=1")).content == BODY
            assert get(server.url("/missing.jpg")).status_code == 404

    def test_a_script_for_a_query_takes_precedence_over_its_path(self, server: ImageServer) -> None:
        server.add("/a.jpg", b"any")
        assert get(server.add("/a.jpg?n=1", b"first")).content == b"first"
        assert get(server.url("/a.jpg?n=2")).content == b"any"

    def test_answers_are_sent_in_order_and_the_last_one_is_repeated(self, server: ImageServer) -> None:
        url = server.script("/a", unavailable(), ok(b"one"), ok(b"two"))
        assert [get(url).content for _ in range(4)] == [b"", b"one", b"two", b"two"]
        assert get(server.script("/a", ok(b"three"))).content == b"three"
        with pytest.raises(ValueError, match="needs an answer"):
            server.script("/a")

    def test_pipelined_requests_are_answered_in_order_and_head_without_a_body(self, server: ImageServer) -> None:
        server.script("/a", ok(b"one"), stalled(BODY, seconds=0.001), ok(b"three"))
        with connection(server, asked(), asked(method="HEAD"), asked(LAST)) as client:
            assert read_to_end(client) == head(3) + b"one" + head(len(BODY)) + head(5) + b"three"

    def test_an_http_1_0_connection_is_closed_after_the_answer(self, server: ImageServer) -> None:
        server.add("/a", BODY)
        with connection(server, asked(version="HTTP/1.0")) as client:
            assert read_to_end(client).endswith(BODY)

    def test_other_methods_are_refused(self, server: ImageServer) -> None:
        assert requests.post(server.add("/a.jpg", BODY), data=BODY, timeout=10).status_code == 405

    def test_a_greeting_is_sent_before_any_request(self) -> None:
        with ImageServer(greeting=[b"220 mail ESMTP\r\n"]) as server, connection(server) as client:
            assert client.recv(100) == b"220 mail ESMTP\r\n"

    def test_tls_on_another_address(self, tmp_path: Path) -> None:
        authority = trustme.CA()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.2").configure_cert(tls)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        with ImageServer(host="127.0.0.2", tls=tls) as server:
            url = server.add("/a.jpg", BODY)
            assert url == f"https://127.0.0.2:{server.port}/a.jpg"
            assert requests.get(url, verify=str(tmp_path / "ca.pem"), timeout=10).content == BODY


def test_the_log_contains_the_requests(server: ImageServer) -> None:
    assert not server.wait_for_requests(1, timeout=0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.wait_for_requests, 2, path="/a")
        requests.get(server.url("/a?n=1"), headers={"X-Own": "value"}, timeout=10)
        get(server.url("/b"))
        get(server.url("/a"))
        assert waiting.result(timeout=10)
    first, _, last = server.requests
    assert (first.method, first.target, first.path) == ("GET", "/a?n=1", "/a")
    assert (first.headers["x-own"], first.headers["host"]) == ("value", f"127.0.0.1:{server.port}")
    assert server.requests_of("/a") == [first, last]
    assert server.accepted == 3


class TestEnding:
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param([Repeat(BODY, 1 << 60)], id="endless body that is not read"),
            pytest.param([Pause(), b"late"], id="pause"),
            pytest.param([WaitFor(threading.Event()), b"late"], id="event that does not happen"),
            pytest.param([], id="idle"),
        ],
    )
    def test_all_its_threads_end_and_no_answer_continues(self, answer: Answer) -> None:
        # Threads of other tests may end meanwhile.
        before = set(threading.enumerate())
        with contextlib.ExitStack() as clients:
            with ImageServer() as server:
                server.script("/a", answer)
                client, *_ = [clients.enter_context(connection(server, asked())) for _ in range(20)]
                assert server.wait_for_requests(20)
                assert len(set(threading.enumerate()) - before) == 21
            assert set(threading.enumerate()) <= before
            assert b"late" not in read_to_end(client)
        with ImageServer(port=server.port) as second:
            assert get(second.add("/a", BODY)).content == BODY


class TestManyClients:
    def test_250_connections_at_once(self, server: ImageServer) -> None:
        """GIVEN 250 clients WHEN all send a request before any is answered THEN all are answered."""
        event = threading.Event()
        server.script("/a", held(BODY, event))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connection(server, asked(LAST))) for _ in range(250)]
            assert server.wait_for_requests(250)
            event.set()
            assert all(read_to_end(client) == head(len(BODY)) + BODY for client in clients)

    def test_a_thousand_pictures_of_100_kb(self, server: ImageServer) -> None:
        server.add("/a.jpg", bytes(100_000))

        def fetch(count: int) -> int:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as client:
                total = 0
                for _ in range(count):
                    client.request("GET", "/a.jpg")
                    total += len(client.getresponse().read())
                return total

        with ThreadPoolExecutor(20) as pool:
            assert sum(pool.map(fetch, [50] * 20)) == 1000 * 100_000
        assert server.accepted == 20
