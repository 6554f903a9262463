"""Downloading and measuring images: streamed, bounded in time and bytes, never held in memory."""

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

from retail_pulse import VERSION
from retail_pulse.domain.failures import FailureCode, MeasuringError, is_transient_status
from retail_pulse.domain.outcomes import Measured
from retail_pulse.measuring.deadline import deadline, seconds_left
from retail_pulse.measuring.download.connections import GuardedAdapter
from retail_pulse.measuring.download.gunzip import Gunzip
from retail_pulse.measuring.download.policy import CallPolicy, check_url
from retail_pulse.measuring.download.responses import too_large
from retail_pulse.measuring.download.retry_after import retry_after
from retail_pulse.measuring.formats.size import SizeReader

# Each block costs a few microseconds in the HTTP layers. For an image of 8 MB, blocks of 64 KB take a sixth more CPU;
# 256 KB take a tenth less, but twice the memory. With 100 threads, 128 KB are 13 MB.
_BLOCK_BYTES = 128 * 1024
_INFLATED_BLOCK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Some servers compress although the request does not ask for it. One layer only: each multiplies the bytes.
_GZIP = frozenset({"gzip", "x-gzip"})
_HEADERS = {
    "User-Agent": f"retail-pulse/{VERSION}",
    "Accept": "image/*",
    # Images are compressed already.
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
}


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
    threads
        How many threads use the fetcher at once.
    """

    def __init__(self, limits: FetchLimits, policy: CallPolicy, threads: int) -> None:
        self._limits = limits
        # No session: merging its headers, proxies, cookies and hooks costs a sixth of a small image's CPU. Without one,
        # nothing reads proxies, .netrc or certificates from the environment, keeps cookies, or follows redirects.
        self._adapter = GuardedAdapter(policy, limits.image_bytes, threads)
        self._headers = requests.structures.CaseInsensitiveDict(_HEADERS)

    def measure(self, url: str) -> Measured:
        """Download and measure an image.

        Raises
        ------
        MeasuringError
            The download failed, the file is not a complete image, or a limit was exceeded.
        """
        with deadline(self._limits.image_seconds):
            for _ in range(self._limits.redirects + 1):
                check_url(url)
                # The body of a redirect or an error is not read: closing the response drops the connection.
                with _translate_errors(url), self._get(url) as response:
                    target = _redirect_target(url, response)
                    if target is None:
                        return self._measure_response(url, response)
                    url = target
            raise MeasuringError(FailureCode.TOO_MANY_REDIRECTS, f"more than {self._limits.redirects} redirects")

    def _measure_response(self, url: str, response: requests.Response) -> Measured:
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
        return self._measure_body(response, Gunzip(_INFLATED_BLOCK_BYTES) if encoding in _GZIP else None)

    def _get(self, url: str) -> requests.Response:
        connect = seconds_left(self._limits.connect_seconds) or self._limits.connect_seconds
        request = requests.PreparedRequest()
        request.method = "GET"
        request.prepare_url(url, None)
        request.headers = self._headers
        return self._adapter.send(request, stream=True, timeout=(connect, self._limits.read_seconds))

    def _measure_body(self, response: requests.Response, gunzip: Gunzip | None) -> Measured:
        limit = self._limits.image_bytes
        length = response.headers.get("content-length", "")
        # More than 18 digits are too large in any case, and need not be converted.
        if length.isdecimal() and (len(length) > 18 or int(length) > limit):
            raise too_large(limit)
        received = 0
        with SizeReader(self._limits.image_side) as reader:
            # Not decoded by urllib3, which does not bound the number of gzip members: see `Gunzip`.
            while data := response.raw.read(_BLOCK_BYTES, decode_content=False):
                seconds_left()
                for block in (data,) if gunzip is None else gunzip.feed(data):
                    received += len(block)
                    if received > limit:
                        raise too_large(limit)
                    reader.feed(block)
            return reader.result()


def _redirect_target(url: str, response: requests.Response) -> str | None:
    """Return the URL that a response redirects to, or None if it is not a redirect."""
    location = response.headers.get("location")
    if response.status_code not in _REDIRECTS or not location:
        return None
    try:
        # http.client decodes headers as Latin-1, but servers send paths in UTF-8.
        return urljoin(url, location.encode("latin-1").decode())
    except ValueError as error:
        raise MeasuringError(FailureCode.INVALID_URL, f"{_host(url)} redirects to an invalid URL") from error


@contextmanager
def _translate_errors(url: str) -> Iterator[None]:
    """Raise errors of requests and urllib3 as `MeasuringError`."""
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
            # The server announced more bytes: the connection broke, which may be transient.
            message = f"{_host(url)} closed the connection early"
            raise MeasuringError(FailureCode.TRUNCATED, message, passing=True) from error
        if _caused_by(error, TimeoutError):
            raise MeasuringError(FailureCode.TIMEOUT, f"{_host(url)} timed out") from error
        # A response that violates HTTP: a retry does not change it, unlike a lost connection.
        is_malformed = _caused_by(error, http.client.HTTPException, InvalidHeader)
        if is_malformed and not _caused_by(error, http.client.RemoteDisconnected):
            message = f"the response from {_host(url)} is not valid HTTP"
            raise MeasuringError(FailureCode.CONNECT_FAILED, message, passing=False) from error
        raise MeasuringError(FailureCode.CONNECT_FAILED, f"the connection to {_host(url)} failed") from error


def _caused_by(error: BaseException | None, *kinds: type[BaseException]) -> bool:
    """Return whether an error has a cause of these kinds: urllib3 wraps errors of reads once or twice."""
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__cause__ or error.__context__
    return False


def _host(url: str) -> str:
    return parse_url(url).host or "the server"
