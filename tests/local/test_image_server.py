"""The image server: what it serves, how it misbehaves, and that it ends promptly whatever it is doing."""

import contextlib
import gzip
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from local.images.server import (
    Answer,
    Framing,
    ImageServer,
    chunked,
    close_delimited,
    compressed,
    cut_after,
    declaring,
    endless,
    failing,
    held,
    html,
    hung_up,
    many_headers,
    ok,
    redirect,
    reset_after,
    reset_at_once,
    slow,
    stalled,
    stalled_after,
    unavailable,
)

BODY = bytes(range(256)) * 40


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer() as server:
        yield server


@contextlib.contextmanager
def connection(server: ImageServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        yield client


def ask(client: socket.socket, path: str) -> None:
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())


def read_head(client: socket.socket) -> tuple[str, bytes]:
    """Return the head and what came with it of the body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        assert more, f"the connection ended in the head: {data!r}"
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def read_to_end(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=10, allow_redirects=False)


class TestServing:
    def test_a_body_comes_with_its_type_and_length(self, server: ImageServer) -> None:
        answer = get(server.add("/a.webp", BODY))
        assert answer.status_code == 200
        assert answer.content == BODY
        assert answer.headers["Content-Type"] == "image/webp"
        assert answer.headers["Content-Length"] == str(len(BODY))

    def test_a_type_may_be_given(self, server: ImageServer) -> None:
        assert get(server.add("/a.png", BODY, content_type="image/jpeg")).headers["Content-Type"] == "image/jpeg"

    def test_the_files_of_a_folder_are_served_and_none_outside_of_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "images"
        folder.mkdir()
        (folder / "größe 1.jpg").write_bytes(BODY)
        (folder / "empty.png").write_bytes(b"")
        (tmp_path / "secret.txt").write_text("secret")
        with ImageServer(folder) as server:
            answer = get(server.url("/gr%C3%B6%C3%9Fe%201.jpg?size=1"))
            assert (answer.status_code, answer.content) == (200, BODY)
            assert answer.headers["Content-Type"] == "image/jpeg"
            assert get(server.url("/empty.png")).content == b""
            for path in ("/..%2fsecret.txt", "/../secret.txt", "/missing.jpg", "/", "/a%00", "/" + "a" * 1000):
                with connection(server) as client:
                    ask(client, path)
                    assert read_head(client)[0].startswith("HTTP/1.1 404 ")

    def test_what_was_added_goes_before_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(b"file")
        with ImageServer(tmp_path) as server:
            assert get(server.add("/a.jpg", BODY)).content == BODY

    def test_a_query_that_was_added_goes_before_the_path_without_it(self, server: ImageServer) -> None:
        server.add("/a.jpg", b"any")
        server.add("/a.jpg?n=1", b"first")
        assert get(server.url("/a.jpg?n=1")).content == b"first"
        assert get(server.url("/a.jpg?n=2")).content == b"any"

    def test_one_connection_takes_many_requests(self, server: ImageServer, tmp_path: Path) -> None:
        server.add("/a.jpg", BODY)
        with requests.Session() as session:
            for _ in range(5):
                assert session.get(server.url("/a.jpg"), timeout=10).content == BODY
                assert session.get(server.url("/missing.jpg"), timeout=10).status_code == 404
        assert server.accepted == 1

    def test_two_requests_sent_at_once_are_answered_in_turn(self, server: ImageServer) -> None:
        server.add("/a", b"first")
        server.add("/b", b"second")
        with connection(server) as client:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = read_to_end(client)
        assert text.index(b"first") < text.index(b"second")

    @pytest.mark.parametrize(
        "request_text", ["GET /a HTTP/1.0\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n"]
    )
    def test_a_connection_ends_when_the_client_wants_it(self, server: ImageServer, request_text: str) -> None:
        server.add("/a", BODY)
        with connection(server) as client:
            client.sendall(request_text.encode())
            assert read_to_end(client).endswith(BODY)

    def test_a_head_has_the_length_and_no_body(self, server: ImageServer) -> None:
        server.add("/a.jpg", BODY)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as client:
            client.request("HEAD", "/a.jpg")
            answer = client.getresponse()
            assert (answer.getheader("Content-Length"), answer.read()) == (str(len(BODY)), b"")
            client.request("GET", "/a.jpg")
            assert client.getresponse().read() == BODY

    def test_other_methods_are_refused(self, server: ImageServer) -> None:
        assert requests.post(server.add("/a.jpg", BODY), timeout=10).status_code == 405


class TestTheLog:
    def test_it_holds_what_was_asked_and_answered_when(self, server: ImageServer) -> None:
        server.add("/a.jpg", BODY)
        before = time.monotonic()
        requests.get(server.url("/a.jpg?n=1"), headers={"X-Own": "value"}, timeout=10)
        get(server.url("/missing.jpg"))
        first, second = server.requests
        assert (first.method, first.target, first.path, first.status) == ("GET", "/a.jpg?n=1", "/a.jpg", 200)
        assert first.headers["x-own"] == "value"
        assert first.headers["host"] == f"127.0.0.1:{server.port}"
        assert before <= first.time <= second.time <= time.monotonic()
        assert second.status == 404
        assert server.requests_of("/a.jpg") == [first]

    def test_one_can_wait_for_requests(self, server: ImageServer) -> None:
        url = server.add("/a.jpg", BODY)
        assert not server.wait_for_requests(1, timeout=0)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(server.wait_for_requests, 2, path="/a.jpg")
            get(server.url("/other"))
            get(url)
            get(url)
            assert waiting.result(timeout=10)


class TestScripts:
    def test_the_answers_come_in_turn_and_the_last_one_stays(self, server: ImageServer) -> None:
        url = server.script("/a", unavailable(retry_after=7), unavailable(429), failing(404), ok(b"one"), ok(b"two"))
        answers = [get(url) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [503, 429, 404, 200, 200, 200]
        assert [answer.content for answer in answers[3:]] == [b"one", b"two", b"two"]
        assert answers[0].headers["Retry-After"] == "7"
        assert "Retry-After" not in answers[1].headers

    def test_a_script_may_be_replaced(self, server: ImageServer) -> None:
        url = server.script("/a", ok(b"one"), ok(b"two"))
        get(url)
        server.script("/a", ok(b"three"), ok(b"four"))
        assert [get(url).content for _ in range(2)] == [b"three", b"four"]

    def test_a_script_needs_an_answer(self, server: ImageServer) -> None:
        with pytest.raises(ValueError, match="needs an answer"):
            server.script("/a")

    def test_redirects_lead_to_their_target(self, server: ImageServer) -> None:
        server.add("/a.jpg", BODY)
        answer = requests.get(server.redirects("/r", 3, "/a.jpg", status=307), timeout=10)
        assert answer.content == BODY
        assert [step.status_code for step in answer.history] == [307, 307, 307]

    def test_a_loop_and_another_scheme_are_sent_as_they_are(self, server: ImageServer) -> None:
        assert get(server.script("/loop", redirect("/loop"))).headers["Location"] == "/loop"
        assert get(server.script("/ftp", redirect("ftp://example.org/a", 301))).headers["Location"].startswith("ftp:")

    def test_other_bodies_than_pictures(self, server: ImageServer) -> None:
        assert get(server.script("/page", html())).headers["Content-Type"].startswith("text/html")
        assert get(server.add("/empty.jpg", b"")).content == b""
        answer = requests.get(server.script("/gzip", compressed(BODY)), timeout=10, stream=True)
        with answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(answer.raw.read(decode_content=False)) == BODY

    def test_thousands_of_headers(self, server: ImageServer) -> None:
        server.script("/a", many_headers(BODY, 3000))
        with connection(server) as client:
            ask(client, "/a")
            head, _ = read_head(client)
        assert head.count("\r\nX-Filler-") == 3000


class TestFraming:
    @pytest.mark.parametrize("piece", [1, 1000, len(BODY), 10**6])
    def test_chunks_hold_the_whole_body(self, server: ImageServer, piece: int) -> None:
        answer = get(server.script("/a", chunked(BODY, piece=piece)))
        assert answer.content == BODY
        assert "Content-Length" not in answer.headers

    def test_an_empty_body_in_chunks(self, server: ImageServer) -> None:
        assert get(server.script("/a", chunked(b""))).content == b""

    def test_the_end_of_the_connection_ends_the_body(self, server: ImageServer) -> None:
        answer = get(server.script("/a", close_delimited(BODY)))
        assert answer.content == BODY
        assert not {"Content-Length", "Transfer-Encoding"} & set(answer.headers)

    @pytest.mark.parametrize("length", [0, len(BODY) - 1, len(BODY) + 1, 10**9])
    def test_a_wrong_length_is_declared_and_the_connection_ended(self, server: ImageServer, length: int) -> None:
        server.script("/a", declaring(BODY, length))
        with connection(server) as client:
            ask(client, "/a")
            head, rest = read_head(client)
            assert f"Content-Length: {length}" in head
            assert "Connection: close" not in head
            assert rest + read_to_end(client) == BODY


class TestBreakingOff:
    def test_a_body_is_cut(self, server: ImageServer) -> None:
        server.script("/a", cut_after(BODY, 1000))
        with connection(server) as client:
            ask(client, "/a")
            head, rest = read_head(client)
            assert f"Content-Length: {len(BODY)}" in head
            assert rest + read_to_end(client) == BODY[:1000]

    def test_chunks_are_cut(self, server: ImageServer) -> None:
        server.script("/a", cut_after(BODY, 1000, framing=Framing.CHUNKED))
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            get(server.url("/a"))

    def test_a_cut_that_no_header_gives_away(self, server: ImageServer) -> None:
        assert get(server.script("/a", cut_after(BODY, 1000, framing=Framing.CLOSE))).content == BODY[:1000]

    def test_a_connection_is_reset_in_the_body(self, server: ImageServer) -> None:
        server.script("/a", reset_after(BODY, 1000))
        with connection(server) as client:
            ask(client, "/a")
            read_head(client)
            with pytest.raises(ConnectionResetError):
                read_to_end(client)

    def test_a_connection_is_reset_at_once(self, server: ImageServer) -> None:
        server.script("/a", reset_at_once())
        with connection(server) as client:
            ask(client, "/a")
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        assert server.requests[0].status is None

    def test_a_connection_is_ended_at_once(self, server: ImageServer) -> None:
        server.script("/a", hung_up())
        with connection(server) as client:
            ask(client, "/a")
            assert client.recv(1) == b""


class TestTakingTime:
    def test_a_stall_before_the_head_passes(self, server: ImageServer) -> None:
        server.script("/a", stalled(BODY, seconds=0.2))
        with connection(server) as client:
            ask(client, "/a")
            start = time.monotonic()
            read_head(client)
            assert time.monotonic() - start >= 0.19

    def test_a_stall_in_the_body_passes_and_the_connection_lives_on(self, server: ImageServer) -> None:
        url = server.script("/a", stalled_after(BODY, 1000, seconds=0.2))
        with requests.Session() as session:
            for _ in range(2):
                start = time.monotonic()
                assert session.get(url, timeout=10).content == BODY
                assert time.monotonic() - start >= 0.19
        assert server.accepted == 1

    @pytest.mark.parametrize("count", [0, 1, 1000, len(BODY)])
    def test_what_goes_before_a_stall_has_been_sent(self, server: ImageServer, count: int) -> None:
        server.script("/a", stalled_after(BODY, count))
        with connection(server) as client:
            ask(client, "/a")
            head, received = read_head(client)
            assert f"Content-Length: {len(BODY)}" in head
            while len(received) < count:
                received += client.recv(65536)
            assert received == BODY[:count]
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)

    def test_a_slow_body_comes_in_pieces(self, server: ImageServer) -> None:
        url = server.script("/a", slow(BODY[:10], piece=1, pause=0.02))
        start = time.monotonic()
        assert get(url).content == BODY[:10]
        assert time.monotonic() - start >= 9 * 0.019

    @pytest.mark.parametrize("framing", list(Framing))
    def test_an_endless_body_ends_at_its_cap(self, server: ImageServer, framing: Framing) -> None:
        body = get(server.script("/a", endless(BODY, cap=3_000_000, framing=framing))).content
        assert len(body) == 3_000_000
        assert body.startswith(BODY + b"\0")

    def test_an_endless_body_ends_when_the_client_hangs_up(self, server: ImageServer) -> None:
        server.script("/a", endless(cap=1 << 50))
        with connection(server) as client:
            ask(client, "/a")
            assert client.recv(1000)
        assert eventually(lambda: server.open_connections == 0)

    def test_an_answer_is_held_until_an_event(self, server: ImageServer) -> None:
        event = threading.Event()
        server.script("/a", held(BODY, event))
        with connection(server) as client:
            ask(client, "/a")
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
            event.set()
            client.settimeout(10)
            assert read_head(client)[0].startswith("HTTP/1.1 200 ")

    @pytest.mark.parametrize("answer", [stalled(), held(b"", threading.Event())])
    def test_a_stall_ends_when_the_client_hangs_up(self, server: ImageServer, answer: Answer) -> None:
        server.script("/a", answer)
        with connection(server) as client:
            ask(client, "/a")
            assert server.wait_for_requests(1)
        assert eventually(lambda: server.open_connections == 0)


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Poll for what nothing announces."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class TestEnding:
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(ok(BODY), id="idle after an answer"),
            pytest.param(stalled(BODY), id="stall before the head"),
            pytest.param(stalled(BODY, seconds=60), id="long pause before the head"),
            pytest.param(held(BODY, threading.Event()), id="an event that does not happen"),
            pytest.param(stalled_after(BODY, 100), id="stall in the body"),
            pytest.param(slow(BODY, pause=5), id="slow body"),
            pytest.param(endless(cap=1 << 50), id="endless body that nobody reads"),
        ],
    )
    def test_whatever_a_connection_does_the_server_ends_promptly(self, answer: Answer) -> None:
        with contextlib.ExitStack() as clients:
            with ImageServer() as server:
                server.script("/a", answer)
                for _ in range(20):
                    ask(clients.enter_context(connection(server)), "/a")
                clients.enter_context(connection(server))
                assert server.wait_for_requests(20)
                threads = threading.active_count()
                assert threads > 20
                start = time.monotonic()
            assert time.monotonic() - start < 1
            assert threading.active_count() <= threads - 21
            assert server.open_connections == 0

    def test_a_pipelined_request_does_not_keep_a_stall_alive(self) -> None:
        with ImageServer() as server, connection(server) as client:
            server.script("/a", stalled())
            ask(client, "/a")
            ask(client, "/a")
            assert server.wait_for_requests(1)

    def test_its_port_is_free_at_once(self) -> None:
        with ImageServer() as server:
            get(server.add("/a", BODY))
        with ImageServer(port=server.port) as second:
            assert get(second.add("/a", BODY)).content == BODY


class TestManyClients:
    def test_250_connections_at_once(self, server: ImageServer) -> None:
        """GIVEN 250 clients WHEN all have asked before any is answered THEN all are answered."""
        server.script("/a", stalled(BODY, seconds=0.5))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connection(server)) for _ in range(250)]
            for client in clients:
                ask(client, "/a")
            assert server.wait_for_requests(250)
            assert server.open_connections == 250
            for client in clients:
                head, received = read_head(client)
                assert head.startswith("HTTP/1.1 200 ")
                while len(received) < len(BODY):
                    received += client.recv(65536)
                assert received == BODY

    def test_a_thousand_pictures_of_100_kb(self, server: ImageServer) -> None:
        body = bytes(100_000)
        server.add("/a.jpg", body)

        def fetch(count: int) -> int:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as client:
                total = 0
                for _ in range(count):
                    client.request("GET", "/a.jpg")
                    total += len(client.getresponse().read())
                return total

        start = time.monotonic()
        with ThreadPoolExecutor(20) as pool:
            assert sum(pool.map(fetch, [50] * 20)) == 1000 * len(body)
        # A loose bound: what matters is that the server is not what a benchmark measures.
        assert time.monotonic() - start < 10
