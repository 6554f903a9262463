"""What servers are sent."""

from typing import Any

from retail_pulse import VERSION
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.cases import Case
from tests.measuring.hostile_server import LOOPBACK, PATIENT
from tests.measuring.network import SimulatedNetwork


def sent(url: str, **options: Any) -> bytes:
    """Return the bytes that a server receives for a URL."""
    network = SimulatedNetwork(Case("", "", url))
    assert network.failure(Fetcher(PATIENT, LOOPBACK, Hosts(1), **options)) is None
    (request,) = network.requests
    return request


def test_a_request_has_the_target_as_written_and_few_fields() -> None:
    assert sent("http://ok.test:8080/A%2fb/%7E[x]?q=%zz&a=%E2%82%AC#fragment") == (
        b"GET /A%2fb/%7E[x]?q=%zz&a=%E2%82%AC HTTP/1.1\r\n"
        b"Host: ok.test:8080\r\n"
        b"User-Agent: retail-pulse/" + VERSION.encode() + b"\r\n"
        b"Accept: image/*, */*;q=0.8\r\n"
        b"Accept-Encoding: identity\r\n"
        b"Connection: keep-alive\r\n"
        b"\r\n"
    )


def test_the_user_agent_says_who_calls() -> None:
    request = sent("http://ok.test/", user_agent="shelf-check (+https://ok.test/abuse)")
    assert b"\r\nUser-Agent: shelf-check (+https://ok.test/abuse)\r\n" in request
