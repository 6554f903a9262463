"""TLS to image servers: their certificates are verified for the name in the URL, within the deadline."""

import datetime
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest
import trustme

from local.images.server import End, in_pieces
from retail_pulse.domain.failures import FailureCode
from tests.measuring.hostile_server import ANSWER, HASTY, fetcher, hostile_server, refusal
from tests.support.fetching import measure

YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
_real_getaddrinfo = socket.getaddrinfo


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trustme.CA]:
    """Return a certificate authority that this process trusts."""
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(bundle))
        yield authority


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve every name to this machine."""
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, *rest, **options: _real_getaddrinfo("127.0.0.1", *rest, **options)
    )


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


@pytest.mark.parametrize("host", ["images.test", "images.test."])
def test_a_certificate_for_the_name_is_accepted_and_the_name_kept(authority: trustme.CA, host: str) -> None:
    asked: list[str | None] = []
    tls = context(authority.issue_cert("images.test"))
    tls.sni_callback = lambda _, name, __: asked.append(name)
    with hostile_server(ANSWER, tls=tls) as server:
        assert measure(fetcher(), f"https://{host}:{server.port}/a.png").width == 20
    # Neither a certificate nor SNI has the dot of a full name.
    assert asked == ["images.test"]
    assert server.requests[0].headers["host"] == f"{host}:{server.port}"


@pytest.mark.parametrize(
    ("identity", "host"),
    [("*.images.test", "a.images.test"), ("a.images.test", "a.images.test"), ("127.0.0.1", "127.0.0.1")],
)
def test_a_wildcard_an_exact_name_and_an_address_are_accepted(authority: trustme.CA, identity: str, host: str) -> None:
    with hostile_server(ANSWER, tls=context(authority.issue_cert(identity))) as server:
        assert measure(fetcher(), f"https://{host}:{server.port}/a.png").width == 20


REFUSED: dict[str, Callable[[trustme.CA], trustme.LeafCert]] = {
    "another name": lambda authority: authority.issue_cert("other.test"),
    "a wildcard of another level": lambda authority: authority.issue_cert("*.a.images.test"),
    "the address instead of the name": lambda authority: authority.issue_cert("127.0.0.1"),
    "only a common name": lambda authority: authority.issue_cert(common_name="images.test"),
    "expired": lambda authority: authority.issue_cert("images.test", not_after=YESTERDAY),
    "an unknown authority": lambda _: trustme.CA().issue_cert("images.test"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_invalid_certificate_is_refused(authority: trustme.CA, kind: str) -> None:
    with hostile_server(ANSWER, tls=context(REFUSED[kind](authority))) as server:
        error = refusal(fetcher(), f"https://images.test:{server.port}/a.png")
    assert (error.code, error.is_transient) == (FailureCode.TLS_FAILED, False)
    assert error.message == "the TLS connection to images.test failed"
    assert server.requests == []


def test_a_certificate_is_verified_behind_a_redirect_too(authority: trustme.CA) -> None:
    with hostile_server(ANSWER, tls=context(authority.issue_cert("other.test"))) as target:
        redirect = f"HTTP/1.1 302 Found\r\nLocation: https://images.test:{target.port}/\r\n\r\n".encode()
        with hostile_server(redirect, tls=context(authority.issue_cert("images.test"))) as server:
            error = refusal(fetcher(), f"https://images.test:{server.port}/a.png")
    assert error.code is FailureCode.TLS_FAILED


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\n\r\n", b"\x16\x03\x03\x40\x00" + bytes(99), bytes(99)])
def test_what_is_no_tls_is_refused(said: bytes) -> None:
    with hostile_server(greeting=[said, End()]) as server:
        assert refusal(fetcher(), f"https://images.test:{server.port}/a.png").code is FailureCode.TLS_FAILED


@pytest.mark.parametrize(("pause", "said"), [(9, b"\x16"), (0.1, b"\x16\x03\x03\x40\x00" + bytes(99))])
def test_a_silent_or_slow_handshake_meets_the_deadline(pause: float, said: bytes) -> None:
    with hostile_server(greeting=[*in_pieces(said, pause=pause), End()]) as server:
        assert refusal(fetcher(HASTY), f"https://images.test:{server.port}/a.png").code is FailureCode.TIMEOUT


def test_a_slow_body_meets_the_deadline_over_tls(authority: trustme.CA) -> None:
    tls = context(authority.issue_cert("images.test"))
    with hostile_server(ANSWER[:-50], *in_pieces(ANSWER[-50:], pause=0.1), tls=tls) as server:
        assert refusal(fetcher(HASTY), f"https://images.test:{server.port}/a.png").code is FailureCode.TIMEOUT
