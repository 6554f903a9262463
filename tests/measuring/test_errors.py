"""Errors of the network, of servers and of this machine, as failures of an image."""

import errno
import http.client
import ssl

import pytest

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.download.errors import translated_errors
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.hostile_server import ANSWER, fetcher, hostile_server, refusal
from tests.support.fetching import measure

SHORT = ("processing_error", "this service is short of memory or file descriptors right now", True, False)


@pytest.mark.parametrize(
    ("error", "code", "message", "is_transient", "costs_attempt"),
    [
        *((OSError(number, "x"), *SHORT) for number in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)),
        (MemoryError(), *SHORT),
        (ConnectionResetError(errno.ECONNRESET, "x"), "connect_failed", "the connection to ok.test failed", True, True),
        (OSError(errno.EHOSTUNREACH, "x"), "connect_failed", "the connection to ok.test failed", True, True),
        (http.client.RemoteDisconnected("x"), "connect_failed", "the connection to ok.test failed", True, True),
        (ssl.SSLError(1, "x"), "tls_failed", "the TLS connection to ok.test failed", False, True),
        (ssl.SSLCertVerificationError(1, "x"), "tls_failed", "the TLS connection to ok.test failed", False, True),
        (TimeoutError(), "timeout", "ok.test timed out", True, True),
        (http.client.IncompleteRead(b""), "truncated", "ok.test closed the connection early", True, True),
        (http.client.BadStatusLine("x"), "connect_failed", "the response from ok.test is not valid HTTP", False, True),
        (http.client.LineTooLong("x"), "connect_failed", "the response from ok.test is not valid HTTP", False, True),
    ],
)
def test_an_error_is_a_failure_with_a_code(
    error: Exception, code: str, message: str, is_transient: bool, costs_attempt: bool
) -> None:
    with pytest.raises(MeasuringError) as caught, translated_errors("ok.test"):
        raise error
    failure = caught.value
    expected = (code, message, is_transient, costs_attempt)
    assert (failure.code, failure.message, failure.is_transient, failure.costs_attempt) == expected


def test_a_failure_stays_what_it_is_and_a_bug_too() -> None:
    for error in (MeasuringError(FailureCode.TOO_LARGE, "x"), ZeroDivisionError()):
        with pytest.raises(type(error)) as caught, translated_errors("ok.test"):
            raise error
        assert caught.value is error


def test_a_shortage_costs_no_attempt_and_closes_the_idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    fetching = fetcher()
    with hostile_server(ANSWER) as server:
        measure(fetching, server.script("/kept.png", [ANSWER]))
        assert len(fetching._adapter._idle._idle) == 1
        monkeypatch.setattr(SizeReader, "feed", fail)
        error = refusal(fetching, server.url("/a.png"))
    assert (error.code, error.message, error.is_transient, error.costs_attempt) == SHORT
    assert not fetching._adapter._idle._idle


def test_a_full_disk_closes_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MeasuringError(FailureCode.PROCESSING_ERROR, "no space", costs_attempt=False) from OSError(
            errno.ENOSPC, "x"
        )

    fetching = fetcher()
    with hostile_server(ANSWER) as server:
        measure(fetching, server.script("/kept.png", [ANSWER]), "another client")
        monkeypatch.setattr(SizeReader, "feed", fail)
        error = refusal(fetching, server.url("/a.png"))
    assert not error.costs_attempt
    assert fetching._adapter._idle._idle
