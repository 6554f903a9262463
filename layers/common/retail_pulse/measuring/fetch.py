"""Downloading and measuring images: streamed, bounded in time and bytes, never held in memory."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from requests import Response

from retail_pulse import VERSION
from retail_pulse.domain.failures import FailureCode, MeasuringError, is_transient_status
from retail_pulse.domain.hosts import Hosts, Slot
from retail_pulse.domain.image_requests import HostBusyError, ImageRequest
from retail_pulse.domain.outcomes import Measured
from retail_pulse.measuring.deadline import deadline, seconds_left
from retail_pulse.measuring.download.adapter import ImageAdapter, ImageGet
from retail_pulse.measuring.download.codings import is_gzip
from retail_pulse.measuring.download.connections import Connector
from retail_pulse.measuring.download.errors import is_own_shortage, translated_errors
from retail_pulse.measuring.download.gunzip import Gunzip
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.download.pool import MAX_IDLE, IdleConnections
from retail_pulse.measuring.download.responses import too_large
from retail_pulse.measuring.download.retry_after import retry_after
from retail_pulse.measuring.download.urls import Target, host_key, redirect_url
from retail_pulse.measuring.formats.pixels import PixelCheck
from retail_pulse.measuring.formats.size import SizeReader
from retail_pulse.measuring.steps import StepBudget

_INFLATED_BLOCK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Statuses whose body is the image: also created, and changed by a proxy.
_IMAGES = frozenset({200, 201, 203})
_PARTIAL = 206
_RANGE = re.compile(r"bytes[ \t=]+0-(\d{1,18})/(\d{1,18})", re.I | re.A)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """The limits of a download.

    Parameters
    ----------
    connect_seconds
        Maximum time to connect to one address.
    read_seconds
        Maximum time without a byte from the server.
    image_seconds
        Maximum total time per image, redirects included.
    image_bytes
        Maximum size of an image in bytes.
    image_side
        Maximum width and height in pixels.
    redirects
        Maximum number of redirects.
    """

    connect_seconds: float
    read_seconds: float
    image_seconds: float
    image_bytes: int
    image_side: int
    redirects: int


class Fetcher:
    """Measures images by URL. One instance serves all threads of a worker, for the life of the worker.

    Parameters
    ----------
    limits
        The limits of each download.
    policy
        Which servers may be called.
    hosts
        How many requests each host may have in flight.
    user_agent
        Tells servers who calls, and where to complain.
    pixels
        Decodes each picture as well; None to decode nothing.
    max_idle
        How many idle connections are kept, of all clients and hosts together.
    """

    def __init__(
        self,
        limits: FetchLimits,
        policy: CallPolicy,
        hosts: Hosts,
        user_agent: str = f"retail-pulse/{VERSION}",
        pixels: PixelCheck | None = None,
        max_idle: int = MAX_IDLE,
    ) -> None:
        self._limits = limits
        self._pixels = pixels
        self._hosts = hosts
        fields = {
            "User-Agent": user_agent,
            "Accept": "image/*, */*;q=0.8",
            # Images are compressed already.
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
        }
        connector = Connector(policy, limits.connect_seconds, limits.read_seconds)
        self._adapter = ImageAdapter(connector, IdleConnections(max_idle), fields, limits.image_bytes)

    def measure(self, request: ImageRequest, slot: Slot) -> Measured:
        """Download and measure an image.

        Parameters
        ----------
        slot
            A slot of the host of the request's URL. It is ended, and so are those that redirects lead to.

        Raises
        ------
        MeasuringError
            The download failed, the file is not a complete image, or a limit was exceeded.
        HostBusyError
            A redirect leads to a host that has no free slot, or that rests.
        """
        with deadline(self._limits.image_seconds):
            while True:
                # Reading a URL may need a file of Python's own, so descriptors may be short there too.
                with self._ended(slot), translated_errors("the server"):
                    found = self._ask_host(request, slot.host)
                if isinstance(found, Measured):
                    return found
                request, slot = found, self._next_slot(found)

    @contextmanager
    def _ended(self, slot: Slot) -> Iterator[None]:
        """End a slot after a block, with the error that it raised."""
        try:
            yield
        except MeasuringError as error:
            slot.end(error)
            if is_own_shortage(error.__cause__):
                # Idle connections hold descriptors and memory.
                self._adapter.close()
            raise
        except BaseException:
            slot.end()
            raise
        slot.end()

    def _ask_host(self, request: ImageRequest, host: str) -> Measured | ImageRequest:
        """Measure an image, or return the request that a redirect to another host leads to."""
        while True:
            target = Target.parse(request.url, redirected=request.redirects > 0)
            if target.key != host:
                return request
            found = self._ask(request, target)
            if isinstance(found, Measured):
                return found
            request = found

    def _next_slot(self, request: ImageRequest) -> Slot:
        host = host_key(request.url)
        rests = self._hosts.rest(request.client, host) is not None
        slot = None if rests else self._hosts.begin(request.client, host)
        if slot is None:
            raise HostBusyError(request)
        return slot

    def _ask(self, request: ImageRequest, target: Target) -> Measured | ImageRequest:
        """Measure an image, or return the request that a redirect leads to."""
        # The body of a redirect or an error is not read: closing the response drops the connection.
        with translated_errors(target.host), self._adapter.send(ImageGet(request.client, target)) as response:
            location = response.headers.get("location")
            if not location or response.status_code not in _REDIRECTS:
                _check_status(target.host, response)
                return self._measure_body(response, request.client)
            if request.redirects >= self._limits.redirects:
                message = f"more than {self._limits.redirects} redirects"
                raise MeasuringError(FailureCode.TOO_MANY_REDIRECTS, message)
            return request.redirected(_redirect_url(target, location))

    def _measure_body(self, response: Response, client: str) -> Measured:
        budget = StepBudget()
        gunzip = Gunzip(_INFLATED_BLOCK_BYTES) if is_gzip(response.headers) else None
        limit = self._limits.image_bytes
        received = 0
        with SizeReader(self._limits.image_side, budget, self._pixels, client) as reader:
            for data in response.raw:
                budget.received(len(data))
                for block in (data,) if gunzip is None else gunzip.feed(data):
                    seconds_left()
                    received += len(block)
                    if received > limit:
                        raise too_large(limit)
                    reader.feed(block)
            return reader.result()


def _redirect_url(target: Target, location: str) -> str:
    """Return the URL that a redirect leads to."""
    url = redirect_url(target, location)
    try:
        Target.parse(url, redirected=True)
    except MeasuringError as error:
        raise MeasuringError(error.code, f"{target.host} redirects to an invalid URL") from error
    return url


def _check_status(host: str, response: Response) -> None:
    """Check that the body of a response is an image, and all of it."""
    status = response.status_code
    if status in _IMAGES or (status == _PARTIAL and _is_whole(response.headers.get("content-range", ""))):
        return
    raise MeasuringError(
        FailureCode.HTTP_STATUS,
        f"{host} returned status {status}",
        passing=is_transient_status(status),
        retry_after=retry_after(response.headers),
    )


def _is_whole(content_range: str) -> bool:
    found = _RANGE.fullmatch(content_range)
    return found is not None and int(found[1]) + 1 == int(found[2])
