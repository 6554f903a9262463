"""Errors of the network and of this machine, as failures of an image."""

import errno
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead, RemoteDisconnected

from retail_pulse.domain.failures import FailureCode, MeasuringError

# Descriptors of this process and of the machine, memory, and the kernel's buffers.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def is_own_shortage(error: BaseException | None) -> bool:
    """Return whether this machine has run out of descriptors or memory, for which no server is to blame."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORTAGES)


@contextmanager
def translated_errors(host: str) -> Iterator[None]:
    """Raise the errors of a request to a host as `MeasuringError`."""
    try:
        yield
    except (OSError, HTTPException, MemoryError) as error:
        raise _translated(host, error) from error


def _translated(host: str, error: Exception) -> MeasuringError:
    if is_own_shortage(error):
        message = "this service is short of memory or file descriptors right now"
        return MeasuringError(FailureCode.PROCESSING_ERROR, message, passing=True, costs_attempt=False)
    match error:
        case ssl.SSLError():
            return MeasuringError(FailureCode.TLS_FAILED, f"the TLS connection to {host} failed")
        case TimeoutError():
            return MeasuringError(FailureCode.TIMEOUT, f"{host} timed out")
        case IncompleteRead():
            # The server announced more bytes: the connection broke, which may be transient.
            message = f"{host} closed the connection early"
            return MeasuringError(FailureCode.TRUNCATED, message, passing=True)
        case HTTPException() if not isinstance(error, RemoteDisconnected):
            # A response that violates HTTP: a retry does not change it, unlike a lost connection.
            message = f"the response from {host} is not valid HTTP"
            return MeasuringError(FailureCode.CONNECT_FAILED, message, passing=False)
        case _:
            return MeasuringError(FailureCode.CONNECT_FAILED, f"the connection to {host} failed")
