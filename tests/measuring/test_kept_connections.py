"""Kept connections: bounded, short-lived, of one client only, and never with an unasked answer."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from local.images.pictures import Format, make_image
from local.images.server import Action, End, ImageServer, Pause
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.download import sockets
from retail_pulse.measuring.download.pool import IdleConnections
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.hostile_server import ANSWER, HEAD, PICTURE, fetcher, refusal
from tests.support.fetching import measure
from tests.support.waiting import END_SECONDS, wait_until

EVIL = make_image(Format.PNG, 66, 66)
EVIL_ANSWER = HEAD + b"Content-Length: %d\r\n\r\n" % len(EVIL) + EVIL


@dataclass(eq=False)
class FakeConnection:
    name: str
    is_quiet: bool = True
    is_closed: bool = False

    def close(self) -> None:
        self.is_closed = True


class Pool(IdleConnections[str, FakeConnection]):
    """Idle connections with a clock that the test moves."""

    def __init__(self, max_idle: int = 3) -> None:
        self.time = 1000.0
        super().__init__(max_idle, rest_seconds=0.5, idle_seconds=60, now=lambda: self.time)

    def give(self, key: str, *names: str) -> list[FakeConnection]:
        connections = [FakeConnection(name) for name in names]
        for connection in connections:
            self.give_back(key, connection)
        return connections


def closed(*connections: FakeConnection) -> list[str]:
    return [connection.name for connection in connections if connection.is_closed]


def test_a_connection_is_taken_once_and_only_after_a_rest() -> None:
    pool = Pool()
    (kept,) = pool.give("a", "kept")
    pool.time += 0.4
    assert pool.take("a") is None
    pool.time += 0.2
    assert pool.take("b") is None
    assert pool.take("a") is kept
    assert pool.take("a") is None
    pool.give_back("a", kept)
    assert pool.take("a") is None
    assert not kept.is_closed


def test_the_least_recently_used_connection_is_closed_first() -> None:
    pool = Pool()
    first, second, third = pool.give("a", "first")[0], pool.give("b", "second")[0], pool.give("c", "third")[0]
    (fourth,) = pool.give("d", "fourth")
    assert closed(first, second, third, fourth) == ["first"]
    pool.time += 1
    assert pool.take("b") is second
    pool.give_back("b", second)
    (fifth,) = pool.give("b", "fifth")
    assert closed(second, third, fourth, fifth) == ["third"]


def test_connections_that_rest_are_not_all_closed_for_newer_ones_of_the_same_host() -> None:
    pool = Pool()
    rest = pool.give("a", "first", "second", "third")
    newer = pool.give("a", "fourth", "fifth")
    assert closed(*rest, *newer) == ["fourth", "fifth"]
    pool.time += 1
    assert [pool.take("a") for _ in range(4)] == [*rest, None]


@pytest.mark.parametrize("use", ["take", "give back", "sweep"])
def test_no_connection_is_kept_for_more_than_a_minute_after_its_last_use(use: str) -> None:
    pool = Pool()
    (first,) = pool.give("a", "first")
    pool.time += 30
    (second,) = pool.give("b", "second")
    pool.time += 30.1
    if use == "take":
        assert pool.take("a") is None
    elif use == "give back":
        pool.give("c", "third")
    else:
        pool.sweep()
    assert closed(first, second) == ["first"]
    pool.time += 30
    assert pool.take("b") is None
    assert closed(first, second) == ["first", "second"]


def test_connections_are_closed_in_time_when_nothing_is_fetched_any_more() -> None:
    pool: IdleConnections[str, FakeConnection] = IdleConnections(idle_seconds=0.2)
    connections = [FakeConnection(str(number)) for number in range(3)]
    for connection in connections:
        pool.give_back("a", connection)
    assert any(thread.name == "idle-connections" for thread in threading.enumerate())
    wait_until(lambda: all(connection.is_closed for connection in connections), END_SECONDS)
    # The thread ends with the last of them, and another one is started when needed.
    wait_until(lambda: pool._sweeper is None, END_SECONDS)
    pool.give_back("a", again := FakeConnection("again"))
    wait_until(lambda: again.is_closed, END_SECONDS)


def test_without_a_thread_for_it_connections_are_closed_at_the_next_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    pool = Pool()
    (kept,) = pool.give("a", "kept")
    pool.time += 61
    assert pool.take("a") is None
    assert kept.is_closed


def test_a_connection_that_is_not_quiet_is_neither_kept_nor_taken() -> None:
    pool = Pool()
    pool.give_back("a", noisy := FakeConnection("noisy", is_quiet=False))
    first, second = pool.give("a", "first", "second")
    first.is_quiet = False
    pool.time += 1
    assert pool.take("a") is second
    assert closed(noisy, first, second) == ["noisy", "first"]


def test_all_idle_connections_can_be_closed_at_once() -> None:
    pool = Pool()
    connections = [*pool.give("a", "first"), *pool.give("b", "second")]
    pool.close_all()
    assert closed(*connections) == ["first", "second"]
    pool.time += 1
    assert pool.take("a") is None


def stop_clock(fetching: Fetcher) -> None:
    """Stop the clock of the idle connections of a fetcher, so that they rest until `rest`."""
    fetching._adapter._idle._now = lambda: 1000.0


def rest(fetching: Fetcher) -> None:
    """Move the clock of the idle connections of a fetcher, so that they have rested."""
    idle = fetching._adapter._idle
    now = idle._now
    idle._now = lambda: now() + 1


def kept(answer: list[Action]) -> int:
    """Return how many connections are kept after an answer."""
    fetching = fetcher()
    with ImageServer() as server, suppress(MeasuringError):
        measure(fetching, server.script("/a.png", answer))
    count = len(fetching._adapter._idle._idle)
    fetching._adapter.close()
    return count


def test_a_client_uses_its_connection_again_and_no_other_client_does() -> None:
    fetching = fetcher()
    with ImageServer() as server:
        url = server.script("/a.png", [ANSWER])
        for client, accepted in (("alice", 1), ("alice", 1), ("mallory", 2), ("alice", 2), ("mallory", 2)):
            assert measure(fetching, url, client).width == 20
            assert server.accepted == accepted
            rest(fetching)
        fetching._adapter.close()


def test_a_connection_is_not_used_again_before_it_has_rested() -> None:
    fetching = fetcher()
    stop_clock(fetching)
    with ImageServer() as server:
        url = server.script("/a.png", [ANSWER])
        for accepted in (1, 2):
            assert measure(fetching, url).width == 20
            assert server.accepted == accepted
        fetching._adapter.close()


CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PICTURE), PICTURE)
NOT_KEPT: dict[str, list[Action]] = {
    "the server will close it": [ANSWER.replace(b"\r\n", b"\r\nConnection: keep-alive, close\r\n", 1)],
    "HTTP/1.0": [ANSWER.replace(b"HTTP/1.1", b"HTTP/1.0")],
    "more than the body": [ANSWER + b"\r\n"],
    "more than the chunks": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"\r\n"],
    "chunks and a length": [HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n" + CHUNKS],
    "chunks without a last line": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[:-2], End()],
    "an error": [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"],
    "a redirect": [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ftp://a/\r\n\r\n"],
    "a body that is too large": [HEAD + b"Content-Length: 9000000\r\n\r\n"],
    "a body that is not read": [HEAD + b"Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc"],
    "a body that is read in part": [HEAD + b"Content-Length: 999\r\n\r\n" + b"<html>" * 20],
}
KEPT: dict[str, list[Action]] = {
    "a length": [ANSWER],
    "HTTP/1.0": [ANSWER.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"\r\n", b"\r\nConnection: Keep-Alive\r\n", 1)],
    "chunks": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS],
    "chunks and trailers": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[:-2] + b"X: y\r\n\r\n"],
    "a page": [HEAD + b"Content-Length: 99\r\n\r\n" + b"<html>".ljust(99)],
}


@pytest.mark.parametrize("name", NOT_KEPT)
def test_a_connection_is_not_kept_after(name: str) -> None:
    assert kept(NOT_KEPT[name]) == 0


@pytest.mark.parametrize("name", KEPT)
def test_a_connection_is_kept_after(name: str) -> None:
    assert kept(KEPT[name]) == 1


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server's context with a certificate that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


class TestAnUnaskedAnswer:
    """A script answers twice, on a server that also has the images of others: the second answer is another image."""

    @pytest.fixture(params=["alice", "mallory"])
    def sender(self, request: pytest.FixtureRequest) -> str:
        """Return the client whose URL is that of the script: the victim herself, or another one."""
        return str(request.param)

    def widths(self, sender: str, *second: Action, context: ssl.SSLContext | None = None) -> set[int]:
        """Return the widths of alice's images, all of which are 10."""
        sent = threading.Event()

        def answer_twice() -> Iterator[Action]:
            yield from (*second, b"")
            sent.set()

        fetching = fetcher()
        stop_clock(fetching)
        with ImageServer(tls=context) as server:
            good = server.add("/good.png", make_image(Format.PNG, 10, 10))
            assert measure(fetching, server.script("/twice.png", answer_twice()), sender).width == 20
            widths = {measure(fetching, good, "alice").width for _ in range(3)}
            assert sent.wait(END_SECONDS)
            rest(fetching)
            widths |= {measure(fetching, good, "alice").width for _ in range(3)}
            fetching._adapter.close()
        return widths

    def test_at_once(self, sender: str) -> None:
        assert self.widths(sender, ANSWER + EVIL_ANSWER) == {10}

    def test_late(self, sender: str) -> None:
        assert self.widths(sender, ANSWER, Pause(0.2), EVIL_ANSWER) == {10}

    # All of the record is received at once, or some of it stays decrypted in OpenSSL.
    @pytest.mark.parametrize("received", [16_384, len(ANSWER)])
    def test_in_the_same_tls_record(
        self, sender: str, received: int, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sockets, "_RECORD_BYTES", received)
        padded = ANSWER.ljust(8192) + EVIL_ANSWER
        assert self.widths(sender, padded, context=tls) == {10}

    def test_late_over_tls(self, sender: str, tls: ssl.SSLContext) -> None:
        assert self.widths(sender, ANSWER, Pause(0.2), EVIL_ANSWER, context=tls) == {10}


@pytest.mark.parametrize("reset", [False, True])
def test_a_request_is_repeated_when_the_server_has_just_closed_the_kept_connection(
    reset: bool,
) -> None:
    fetching = fetcher()
    with ImageServer() as server:
        url = server.script("/a.png", [ANSWER], [End(reset)], [ANSWER])
        assert measure(fetching, url).width == 20
        rest(fetching)
        assert measure(fetching, url).width == 20
        assert (server.accepted, len(server.requests)) == (2, 3)
        fetching._adapter.close()


def test_a_request_on_a_new_connection_is_not_repeated() -> None:
    with ImageServer() as server:
        url = server.script("/a.png", [End()], [ANSWER])
        assert refusal(fetcher(), url).message == "the connection to 127.0.0.1 failed"
        assert len(server.requests) == 1
