"""An image server that answers every request with the same bytes, and a fetcher that may call it."""

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.images.pictures import Format, make_image
from local.images.server import Action, Answer, End, ImageServer, Repeat
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.fetch import Fetcher, FetchLimits
from tests.support.fetching import measure

PICTURE = make_image(Format.PNG, 20, 27)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
ANSWER = HEAD + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE
# Time enough for everything that ends by itself, and hardly any for what does not.
PATIENT = FetchLimits(10, 10, 20, 10**6, 10**4, 5)
HASTY = FetchLimits(0.4, 0.4, 0.4, 10**6, 10**4, 5)
LOOPBACK = CallPolicy([ipaddress.ip_network("127.0.0.0/8")], [range(1, 65536)])


@contextmanager
def hostile_server(*answer: Action, greeting: Answer = (), tls: ssl.SSLContext | None = None) -> Iterator[ImageServer]:
    """Serve an answer at /a.png, after which the connection ends."""
    with ImageServer(tls=tls, greeting=greeting) as server:
        server.script("/a.png", [*answer, End()])
        yield server


def forever(content: bytes, cap_bytes: int = 1 << 28) -> Repeat:
    """Repeat content up to a cap far beyond every limit."""
    return Repeat(content, cap_bytes // len(content))


def fetcher(limits: FetchLimits = PATIENT) -> Fetcher:
    """Return a fetcher that may call this machine."""
    return Fetcher(limits, LOOPBACK, Hosts(100))


def refusal(fetcher: Fetcher, url: str) -> MeasuringError:
    """Return the error of a measurement, which must fail."""
    with pytest.raises(MeasuringError) as caught:
        measure(fetcher, url)
    return caught.value
