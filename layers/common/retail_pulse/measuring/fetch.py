"""Downloading an image and measuring it on the way: streamed, bounded in time and bytes, never kept whole."""

import http.cookiejar
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urljoin

import requests
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, SSLError, Timeout
from urllib3.exceptions import HTTPError, IncompleteRead, LocationParseError, ReadTimeoutError
from urllib3.exceptions import SSLError as Urllib3SSLError
from urllib3.util import parse_url

from retail_pulse.measuring.addresses import Network
from retail_pulse.measuring.connections import GuardedAdapter
from retail_pulse.measuring.deadline import deadline, seconds_left
from retail_pulse.measuring.failures import FailureCode, MeasuringError, status_may_pass
from retail_pulse.measuring.retry_after import retry_after
from retail_pulse.measuring.size import SizeReader
from retail_pulse.outcomes import Measured

_BLOCK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
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
    allowed_networks
        Networks that images may come from although they are not public.
    threads
        How many threads use it at once.
    """

    def __init__(self, limits: FetchLimits, allowed_networks: Sequence[Network], threads: int) -> None:
        self._limits = limits
        self._session = requests.Session()
        # No proxies, no .netrc, no bundle of certificates from the environment.
        self._session.trust_env = False
        self._session.headers = requests.structures.CaseInsensitiveDict(_HEADERS)
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        adapter = GuardedAdapter(allowed_networks, threads)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def measure(self, url: str) -> Measured:
        """Download an image and measure it.

        Raises
        ------
        MeasuringError
            It could not be had, or is no whole image, or costs more than the limits allow.
        """
        with deadline(self._limits.image_seconds), _translated(url):
            for _ in range(self._limits.redirects + 1):
                check_url(url)
                # Closed unread when it is left: requests would read a redirect's or an error's body into memory.
                with self._get(url) as response:
                    if response.status_code in _REDIRECTS and response.headers.get("location"):
                        url = urljoin(url, self._session.get_redirect_target(response) or "")
                        continue
                    if response.status_code != 200:
                        status = response.status_code
                        raise MeasuringError(
                            FailureCode.HTTP_STATUS,
                            f"{status} from {_host(url)}",
                            passing=status_may_pass(status),
                            retry_after=retry_after(response.headers, datetime.now(UTC)),
                        )
                    return self._read(response)
            raise MeasuringError(FailureCode.TOO_MANY_REDIRECTS, f"more than {self._limits.redirects} redirects")

    def _get(self, url: str) -> requests.Response:
        timeouts = (seconds_left(self._limits.connect_seconds), self._limits.read_seconds)
        return self._session.get(url, stream=True, allow_redirects=False, timeout=timeouts)

    def _read(self, response: requests.Response) -> Measured:
        limit = self._limits.image_bytes
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise MeasuringError(FailureCode.TOO_LARGE, f"{length} bytes, more than {limit}")
        compressed = response.headers.get("content-encoding", "identity").lower() != "identity"
        received = 0
        with SizeReader(self._limits.image_side) as reader:
            while block := response.raw.read(_BLOCK_BYTES, decode_content=compressed):
                received += len(block)
                if received > limit:
                    raise MeasuringError(FailureCode.TOO_LARGE, f"more than {limit} bytes")
                reader.feed(block)
                seconds_left()
            return reader.result()


def check_url(url: str) -> None:
    """Look at what a URL says before it is called.

    Raises
    ------
    MeasuringError
        `invalid_url`: it is no http or https URL, has no host, holds credentials, or characters that no URL has.
    """
    if not url.isprintable() or any(character in url for character in " \\"):
        raise MeasuringError(FailureCode.INVALID_URL, "it holds spaces, backslashes or control characters")
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise MeasuringError(FailureCode.INVALID_URL, "it does not read as a URL") from error
    if parts.scheme not in ("http", "https"):
        raise MeasuringError(FailureCode.INVALID_URL, "it must start with http:// or https://")
    if not parts.host:
        raise MeasuringError(FailureCode.INVALID_URL, "it names no host")
    if parts.auth is not None:
        raise MeasuringError(FailureCode.INVALID_URL, "it holds credentials")


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn what requests and urllib3 raise into the domain's codes."""
    try:
        yield
    except (InvalidURL, InvalidSchema, MissingSchema, LocationParseError, UnicodeError) as error:
        raise MeasuringError(FailureCode.INVALID_URL, "it does not read as a URL") from error
    except (SSLError, Urllib3SSLError) as error:
        raise MeasuringError(FailureCode.TLS_FAILED, f"no secure connection to {_host(url)}") from error
    except (Timeout, ReadTimeoutError, TimeoutError) as error:
        raise MeasuringError(FailureCode.TIMEOUT, f"{_host(url)} was too slow") from error
    except (RequestsConnectionError, requests.RequestException, HTTPError, OSError) as error:
        if _caused_by(error, IncompleteRead):
            # The server promised more: the connection broke, and may hold the next time.
            raise MeasuringError(FailureCode.TRUNCATED, "the connection ended early", passing=True) from error
        if _caused_by(error, TimeoutError):
            raise MeasuringError(FailureCode.TIMEOUT, f"{_host(url)} was too slow") from error
        raise MeasuringError(FailureCode.CONNECT_FAILED, f"the connection to {_host(url)} broke") from error


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Tell whether an error of a kind lies below: urllib3 wraps what comes while it reads, once or twice."""
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _host(url: str) -> str:
    return parse_url(url).host or "the server"
