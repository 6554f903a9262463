"""Reading the head of a response: status line and header fields, in bounded memory.

In place of the parser of `http.client`, which is the one for e-mail. That one also splits lines at a bare CR, so that
64 KB become 16,000 fields of 6 MB in all; it drops all fields after a line that is not one; it keeps every field.
"""

import re
from dataclasses import dataclass
from http.client import BadStatusLine, IncompleteRead, LineTooLong
from io import BytesIO

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.download.sockets import Stream

# Of the status line, the fields and all 1xx responses before it. Servers send at most 8 to 32 KB.
MAX_HEAD_BYTES = 64 * 1024

# The fields that the service uses. Others are not kept, so that a head takes no more memory than these. A line that
# begins with a blank continues the one before (RFC 9112, section 5.2).
_FIELD = re.compile(
    rb"\n(connection|content-encoding|content-length|content-range|location|retry-after|transfer-encoding)[ \t\r]*"
    rb":([^\n]*+(?:\n[ \t\r][^\n]*+)*+)",
    re.I,
)
_BLANKS = b" \t\r\n"
# As lenient as browsers and curl: any letter case, blanks in front, nothing after the status.
_STATUS_LINE = re.compile(rb"[ \t]*HTTP/1\.(\d)\d*[ \t]+([1-9]\d\d)(?!\d)", re.I)
_SWITCHING_PROTOCOLS = 101


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a response.

    Parameters
    ----------
    status
        100 to 999.
    is_1_0
        Whether the server speaks HTTP/1.0.
    fields
        Those that the service uses, by their names in lower case. The values of a field that was sent several times
        are joined by a comma and a space (RFC 9110, section 5.2).
    """

    status: int
    is_1_0: bool
    fields: dict[str, str]


def read_head(stream: Stream) -> Head:
    """Read the head of a response, after any 1xx responses.

    Raises
    ------
    MeasuringError
        `too_large`: the head has too many bytes.
    BadStatusLine
        The response is not HTTP/1.
    IncompleteRead
        The connection ended within the head.
    """
    left = MAX_HEAD_BYTES
    while True:
        line = _first_line(stream, left)
        found = _STATUS_LINE.match(line)
        if found is None:
            raise BadStatusLine("not HTTP/1")
        section = read_section(stream, left - len(line), "the response headers")
        left -= len(line) - 1 + len(section)
        status = int(found[2])
        if status >= 200 or status == _SWITCHING_PROTOCOLS:
            return Head(status, found[1] == b"0", _fields(section))


def read_section(stream: Stream, max_bytes: int, what: str) -> bytes:
    """Read lines up to a blank one, after a line of the stream; return them with the line feed of that line in front.

    Parameters
    ----------
    what
        What the lines are, for the message of the error.

    Raises
    ------
    MeasuringError
        `too_large`: the lines have too many bytes in total.
    IncompleteRead
        The connection ended before a blank line.
    """
    try:
        return stream.section(max_bytes)
    except LineTooLong as error:
        raise _too_large(what) from error


def _first_line(stream: Stream, max_bytes: int) -> bytes:
    try:
        return stream.line(max_bytes)
    except LineTooLong as error:
        raise _too_large("the response headers") from error
    except IncompleteRead as error:
        if b"HTTP/1.".startswith(error.partial[:7].upper()):
            raise
        raise BadStatusLine("not HTTP/1") from error


def _too_large(what: str) -> MeasuringError:
    return MeasuringError(FailureCode.TOO_LARGE, f"{what} are larger than {MAX_HEAD_BYTES:,} bytes")


def _fields(section: bytes) -> dict[str, str]:
    # Bytes that grow in place: a field may be sent thousands of times.
    fields: dict[str, bytearray] = {}
    for found in _FIELD.finditer(section):
        name, value = found[1].lower().decode(), _unfolded(found[2])
        if name in fields:
            fields[name] += b", " + value
        else:
            fields[name] = bytearray(value)
    return {name: value.decode("latin-1").strip(" \t") for name, value in fields.items()}


def _unfolded(value: bytes) -> bytes:
    # A bare CR ends no line (RFC 9112, section 2.2).
    if b"\n" not in value:
        return value.strip(_BLANKS).replace(b"\r", b" ")
    line = bytearray()
    for part in BytesIO(value):
        line += part.strip(_BLANKS).replace(b"\r", b" ") + b" "
    return bytes(line)
