"""Whatever a client submits and a server sends, an image is measured or fails with a published code."""

import ipaddress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from retail_pulse.domain.hosts import Hosts
from retail_pulse.domain.text import MAX_MESSAGE_CHARACTERS
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.address_table import REFUSALS
from tests.measuring.cases import Case
from tests.measuring.hostile_server import HEAD, PATIENT, PICTURE, fetcher
from tests.measuring.network import SimulatedNetwork

FETCHER = fetcher()
PRODUCTION = Fetcher(PATIENT, CallPolicy(), Hosts(100))
LINES = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 Found\r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.0 200\n",
    b"HTTP/1.1 204 No\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 1e9\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n", b"Location: /b\r\n", b"Location: http://[::1\r\n",
    b"Connection: close\r\n", b"Retry-After: Mon, 99 Foo\r\n", b"Set-Cookie: a=b; expires=\xff\r\n",
    b" folded\r\n", b":\r\n",
    b"\r\n", b"5\r\n", b"-5\r\n", b"0\r\n", b"\x1f\x8b\x08\x00", b"\0", PICTURE, PICTURE[:33],
]  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Draw lines of HTTP in any order, some of them invalid."""
    parts = draw(st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=12)), max_size=12))
    start = draw(st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 Found\r\n", HEAD]))
    return start + b"".join(parts)


@settings(max_examples=300, deadline=None)
@given(answers())
@example(HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n")
@example(b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n")
@example(b"HTTP/1.1 503 No\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n")
def test_any_answer_measures_or_fails_with_a_code(answer: bytes) -> None:
    error = SimulatedNetwork(Case("", "", "http://ok.test/", "allow"), answer).failure(FETCHER)
    if error is not None:
        assert len(error.message) <= MAX_MESSAGE_CHARACTERS
        assert error.message.isprintable()


AUTHORITIES = st.one_of(
    st.text(max_size=30),
    st.text("0123456789abcdefx.:[]%@\\/?#", max_size=30),
    st.ip_addresses().map(lambda address: f"[{address}]" if address.version == 6 else str(address)),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["http://", "", "HTTP:", "http:/", "//"]), AUTHORITIES, st.text(max_size=20), st.booleans())
@example("http://", "[::1%25x%25y]", "a.jpg", False)
@example("http://", "[::1%25x%25y]", "a.jpg", True)
def test_any_url_calls_a_public_address_or_fails_with_a_code(
    start: str, authority: str, rest: str, later: bool
) -> None:
    url = start + authority + "/" + rest
    hops = [(302, url)] if later and "\n" not in url and "\r" not in url else []
    network = SimulatedNetwork(Case("", "", "http://ok.test/" if hops else url, redirects=hops))
    error = network.failure(PRODUCTION)
    assert error is None or error.code in REFUSALS or network.connected
    # The standard library reads the same registries, in a newer or older version than the project.
    assert all(ipaddress.ip_address(address).is_global for address in network.connected)
