"""Downloading an image and measuring it on the way: streamed, bounded in time and bytes, never kept whole."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

import requests
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, SSLError, Timeout
from urllib3.exceptions import HTTPError, InvalidHeader, LocationParseError, ReadTimeoutError
from urllib3.exceptions import SSLError as Urllib3SSLError
from urllib3.util import parse_url

from retail_pulse.domain.failures import FailureCode, MeasuringError, is_transient_status
from retail_pulse.domain.outcomes import Measured
from retail_pulse.measuring.deadline import deadline, seconds_left
from retail_pulse.measuring.download.connections import GuardedAdapter
from retail_pulse.measuring.download.gunzip import Gunzip
from retail_pulse.measuring.download.policy import CallPolicy, check_url
from retail_pulse.measuring.download.responses import too_large
from retail_pulse.measuring.download.retry_after import retry_after
from retail_pulse.measuring.formats.size import SizeReader

# Each block costs the layers of HTTP some microseconds: with blocks of 64 KB an image of 8 MB costs a sixth more, with
# 256 KB a tenth less, at twice the memory. With 100 threads it is 13 MB.
_BLOCK_BYTES = 128 * 1024
# Most bytes that gzip gives at once.
_INFLATED_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What is undone although it was not asked for: one layer, which multiplies a block once.
_GZIP = frozenset({"gzip", "x-gzip"})
_HEADERS = {
    "User-Agent": "retail-pulse/0.1",
    "Accept": "image/*",
    # An image is compressed already; a server that compresses it once more all the same is undone below.
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
}


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a download may cost.

    Parameters
    ----------
    connect_seconds, read_seconds
        Longest wait for a connection, for each address tried, and longest silence.
    image_seconds
        Longest time of an image in all, redirects included.
    image_bytes
        Most bytes of an image.
    image_side
        Most pixels of a width or a height.
    redirects
        Most redirects followed.
    """

    connect_seconds: float
    read_seconds: float
    image_seconds: float
    image_bytes: int
    image_side: int
    redirects: int


class Fetcher:
    """Measures images by URL; one for the life of a worker, for all of its threads.

    Parameters
    ----------
    limits
        What a download may cost.
    policy
        Who may be called.
    threads
        How many threads use it at once.
    """

    def __init__(self, limits: FetchLimits, policy: CallPolicy, threads: int) -> None:
        self._limits = limits
        # The adapter without a session around it, which would merge headers, proxies, cookies and hooks anew for each
        # image, at a sixth of what a small one costs. What is not there need not be kept out: no proxies, no .netrc, no
        # bundle of certificates from the environment, no cookies, and nobody who follows redirects.
        self._adapter = GuardedAdapter(policy, limits.image_bytes, threads)
        self._headers = requests.structures.CaseInsensitiveDict(_HEADERS)

    def measure(self, url: str) -> Measured:
        """Download an image and measure it.

        Raises
        ------
        MeasuringError
            It could not be had, or is no whole image, or costs more than the limits allow.
        """
        with deadline(self._limits.image_seconds):
            for _ in range(self._limits.redirects + 1):
                check_url(url)
                # Closed unread when it is left, whatever the body of a redirect or an error holds.
                with _translated(url), self._get(url) as response:
                    target = _redirect_target(url, response)
                    if target is None:
                        return self._measured(url, response)
                    url = target
            raise MeasuringError(FailureCode.TOO_MANY_REDIRECTS, f"more than {self._limits.redirects} redirects")

    def _measured(self, url: str, response: requests.Response) -> Measured:
        status = response.status_code
        if status != 200:
            raise MeasuringError(
                FailureCode.HTTP_STATUS,
                f"{_host(url)} returned status {status}",
                passing=is_transient_status(status),
                retry_after=retry_after(response.headers),
            )
        encoding = response.headers.get("content-encoding", "").strip().lower() or "identity"
        if encoding != "identity" and encoding not in _GZIP:
            raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, f"Content-Encoding {encoding[:40]} is not supported")
        return self._read(response, Gunzip(_INFLATED_BYTES) if encoding in _GZIP else None)

    def _get(self, url: str) -> requests.Response:
        connect = seconds_left(self._limits.connect_seconds) or self._limits.connect_seconds
        request = requests.PreparedRequest()
        request.method = "GET"
        request.prepare_url(url, None)
        request.headers = self._headers
        return self._adapter.send(request, stream=True, timeout=(connect, self._limits.read_seconds))

    def _read(self, response: requests.Response, gunzip: Gunzip | None) -> Measured:
        limit = self._limits.image_bytes
        length = response.headers.get("content-length", "")
        # A number of more digits than 18 is none that Python would have to read.
        if length.isdecimal() and (len(length) > 18 or int(length) > limit):
            raise too_large(limit)
        received = 0
        with SizeReader(self._limits.image_side) as reader:
            # urllib3 undoes nothing: it takes every member of a gzip for a while without giving anything back.
            while data := response.raw.read(_BLOCK_BYTES, decode_content=False):
                seconds_left()
                for block in (data,) if gunzip is None else gunzip.feed(data):
                    received += len(block)
                    if received > limit:
                        raise too_large(limit)
                    reader.feed(block)
            return reader.result()


def _redirect_target(url: str, response: requests.Response) -> str | None:
    """Return where a response leads, or None when it is the last one."""
    location = response.headers.get("location")
    if response.status_code not in _REDIRECTS or not location:
        return None
    try:
        # http.client reads headers as Latin-1, servers send paths in UTF-8.
        return urljoin(url, location.encode("latin-1").decode())
    except ValueError as error:
        raise MeasuringError(FailureCode.INVALID_URL, f"{_host(url)} redirects to an invalid URL") from error


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn what requests and urllib3 raise into the domain's codes."""
    try:
        yield
    except (InvalidURL, InvalidSchema, MissingSchema, LocationParseError, UnicodeError) as error:
        raise MeasuringError(FailureCode.INVALID_URL, "invalid URL") from error
    except (SSLError, Urllib3SSLError) as error:
        raise MeasuringError(FailureCode.TLS_FAILED, f"the TLS connection to {_host(url)} failed") from error
    except (Timeout, ReadTimeoutError, TimeoutError) as error:
        raise MeasuringError(FailureCode.TIMEOUT, f"{_host(url)} timed out") from error
    except (RequestsConnectionError, requests.RequestException, HTTPError, OSError) as error:
        if _caused_by(error, http.client.IncompleteRead):
            # The server promised more: the connection broke, and may hold the next time.
            raise MeasuringError(
                FailureCode.TRUNCATED, f"{_host(url)} closed the connection early", passing=True
            ) from error
        if _caused_by(error, TimeoutError):
            raise MeasuringError(FailureCode.TIMEOUT, f"{_host(url)} timed out") from error
        if _is_malformed(error):
            message = f"the response from {_host(url)} is not valid HTTP"
            raise MeasuringError(FailureCode.CONNECT_FAILED, message, passing=False) from error
        raise MeasuringError(FailureCode.CONNECT_FAILED, f"the connection to {_host(url)} failed") from error


def _is_malformed(error: BaseException) -> bool:
    """Tell an answer that breaks the protocol, as it will the next time, from a connection that broke."""
    if _caused_by(error, http.client.RemoteDisconnected):
        return False
    return any(_caused_by(error, kind) for kind in (http.client.HTTPException, InvalidHeader))


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Tell whether an error of a kind lies below: urllib3 wraps what comes while it reads, once or twice."""
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _host(url: str) -> str:
    return parse_url(url).host or "the server"
