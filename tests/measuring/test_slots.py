"""Slots of hosts: a request has one from its begin to its end, whatever happens, and redirects change it."""

from collections.abc import Sequence
from contextlib import suppress

import pytest

from local.images.server import End, ImageServer
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.hosts import Hosts, Slot
from retail_pulse.domain.image_requests import HostBusyError, ImageRequest
from retail_pulse.measuring.download.urls import Target
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.hostile_server import ANSWER, LOOPBACK, PATIENT

OVERLOADED = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"


class RecordingHosts(Hosts):
    """Hosts that record which slots begin and end, and with which code."""

    def __init__(self, *busy: str) -> None:
        super().__init__(100)
        self.log: list[str] = []
        self.busy = set(busy)

    def begin(self, client: str, host: str) -> Slot | None:
        slot = None if host in self.busy else super().begin(client, host)
        self.log.append(f"{client} {'begins' if slot else 'may not begin'} {host}")
        return slot

    def end(self, client: str, host: str, error: MeasuringError | None) -> None:
        self.log.append(f"{client} ends {host}{f' with {error.code}' if error else ''}")
        super().end(client, host, error)


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def log_of(hosts: RecordingHosts, url: str, client: str = "alice") -> list[str]:
    """Return what happens to slots when an image is measured."""
    slot = hosts.begin(client, Target.parse(url).key)
    assert slot is not None
    with suppress(MeasuringError):
        Fetcher(PATIENT, LOOPBACK, hosts).measure(ImageRequest(client, url), slot)
    return hosts.log


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        ([ANSWER, End()], ""),
        ([b"HTTP/1.1 404 No\r\n\r\n", End()], " with http_status"),
        ([OVERLOADED, End()], " with http_status"),
        ([ANSWER[:-9], End()], " with truncated"),
        ([End(reset=True)], " with connect_failed"),
        ([redirect("http://[::1/"), End()], " with invalid_url"),
        ([redirect("/a.png"), End()], " with too_many_redirects"),
    ],
)
def test_a_slot_is_ended_once_with_the_error_if_there_is_one(answer: Sequence[bytes | End], end: str) -> None:
    with ImageServer() as server:
        url = server.script("/a.png", answer)
        assert log_of(RecordingHosts(), url) == [
            f"alice begins 127.0.0.1:{server.port}", f"alice ends 127.0.0.1:{server.port}{end}",
        ]  # fmt: skip


def test_a_slot_is_ended_once_when_something_unforeseen_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Fetcher, "_measure_body", fail)
    hosts = RecordingHosts()
    with ImageServer() as server, pytest.raises(ZeroDivisionError):
        log_of(hosts, server.script("/a.png", [ANSWER, End()]))
    assert [entry.split()[1] for entry in hosts.log] == ["begins", "ends"]


def test_redirects_within_a_host_keep_the_slot_and_others_change_it() -> None:
    with ImageServer() as first, ImageServer() as second:
        first.script("/a.png", [redirect("/b.png"), End()])
        first.script("/b.png", [redirect(second.url("/a.png")), End()])
        second.script("/a.png", [redirect(first.url("/c.png")), End()])
        first.script("/c.png", [OVERLOADED, End()])
        log = log_of(RecordingHosts(), first.url("/a.png"))
        one, two = f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"
    assert log == [
        f"alice begins {one}", f"alice ends {one}", f"alice begins {two}", f"alice ends {two}",
        f"alice begins {one}", f"alice ends {one} with http_status",
    ]  # fmt: skip


def test_a_redirect_to_a_busy_host_is_followed_later_and_the_rest_of_its_redirects_counts() -> None:
    with ImageServer() as first, ImageServer() as second:
        url = first.script("/a.png", [redirect(second.url("/b c.png")), End()])
        second.script("/b%20c.png", [redirect("/b%20c.png"), End()])
        busy = f"127.0.0.1:{second.port}"
        hosts = RecordingHosts(busy)
        with pytest.raises(HostBusyError) as caught:
            log_of(hosts, url)
        assert caught.value.request == ImageRequest("alice", second.url("/b c.png"), 1)
        assert hosts.log[1:] == [f"alice ends 127.0.0.1:{first.port}", f"alice may not begin {busy}"]
        hosts.busy.clear()
        slot = hosts.begin("alice", busy)
        assert slot is not None
        with pytest.raises(MeasuringError) as failed:
            Fetcher(PATIENT, LOOPBACK, hosts).measure(caught.value.request, slot)
        assert failed.value.code is FailureCode.TOO_MANY_REDIRECTS
        assert len(second.requests) == PATIENT.redirects


def test_a_redirect_to_a_host_that_rests_waits_until_it_has_rested() -> None:
    with ImageServer() as first, ImageServer() as second:
        hosts = RecordingHosts()
        overloaded = second.script("/a.png", [OVERLOADED.replace(b"\r\n", b"\r\nRetry-After: 60\r\n", 1), End()])
        log_of(hosts, overloaded)
        url = first.script("/a.png", [redirect(overloaded), End()])
        with pytest.raises(HostBusyError):
            log_of(hosts, url)
        assert len(second.requests) == 1
        # Another client's requests do not rest.
        log_of(hosts, url, "bob")
        assert len(second.requests) == 2


def test_a_url_that_cannot_be_asked_for_ends_its_slot() -> None:
    hosts = RecordingHosts()
    slot = hosts.begin("alice", "")
    assert slot is not None
    with pytest.raises(MeasuringError, match="does not start with http"):
        Fetcher(PATIENT, LOOPBACK, hosts).measure(ImageRequest("alice", "ftp://a/"), slot)
    assert hosts.log == ["alice begins ", "alice ends  with invalid_url"]
