"""What servers are sent."""

from retail_pulse import VERSION
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.cases import Case
from tests.measuring.hostile_server import LOOPBACK, PATIENT
from tests.measuring.network import SimulatedNetwork


def sent(url: str, **options: str) -> bytes:
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
