"""Reading the head of a response: status line and header fields, line by line, in bounded memory.

In place of the parser of `http.client`, which is the one for e-mail. That one also splits lines at a bare CR, so that
64 KB become 16,000 fields of 6 MB in all; it drops all fields after a line that is not one; it keeps every field.
"""

import re
from dataclasses import dataclass
from http.client import BadStatusLine, IncompleteRead, LineTooLong

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.download.sockets import Stream

# Of the status line, the fields and all 1xx responses before it. Servers send at most 8 to 32 KB.
MAX_HEAD_BYTES = 64 * 1024

# The fields that the service uses. Others are not kept, so that a head takes no more memory than these.
_FIELDS = {
    name.encode(): name
    for name in (
        "connection", "content-encoding", "content-length", "content-range", "location", "retry-after",
        "transfer-encoding",
    )
}  # fmt: skip
# As lenient as browsers and curl: any letter case, blanks in front, nothing after the status.
_STATUS_LINE = re.compile(rb"[ \t]*HTTP/1\.(\d)\d*[ \t]+([1-9]\d\d)(?!\d)", re.I)
_BLANKS = b" \t"
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


class BoundedLines:
    """Reads lines up to a total number of bytes.

    Parameters
    ----------
    what
        What the lines are, for the message of the error.
    """

    def __init__(self, stream: Stream, what: str) -> None:
        self._stream = stream
        self._what = what
        self._left = MAX_HEAD_BYTES

    def read(self) -> bytes:
        """Return the next line without its end.

        Raises
        ------
        MeasuringError
            `too_large`: the lines have too many bytes in total.
        IncompleteRead
            The connection ended before the line did; its bytes are `partial`.
        """
        try:
            line = self._stream.line(self._left)
        except LineTooLong as error:
            message = f"{self._what} are larger than {MAX_HEAD_BYTES:,} bytes"
            raise MeasuringError(FailureCode.TOO_LARGE, message) from error
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise IncompleteRead(line)
        line = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        # A bare CR ends no line (RFC 9112, section 2.2).
        return line.replace(b"\r", b" ") if b"\r" in line else line


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
    lines = BoundedLines(stream, "the response headers")
    while True:
        status_line = _STATUS_LINE.match(_first_line(lines))
        if status_line is None:
            raise BadStatusLine("not HTTP/1")
        head = Head(int(status_line[2]), status_line[1] == b"0", _read_fields(lines))
        if head.status >= 200 or head.status == _SWITCHING_PROTOCOLS:
            return head


def _first_line(lines: BoundedLines) -> bytes:
    try:
        return lines.read()
    except IncompleteRead as error:
        if b"HTTP/1.".startswith(error.partial[:7].upper()):
            raise
        raise BadStatusLine("not HTTP/1") from error


def _read_fields(lines: BoundedLines) -> dict[str, str]:
    # Bytes that grow in place: a field may be sent thousands of times.
    fields: dict[str, bytearray] = {}
    field: bytearray | None = None
    while line := lines.read():
        if line[0] in _BLANKS:
            # A folded line continues the one before (RFC 9112, section 5.2).
            if field is not None:
                field += b" " + line.strip(_BLANKS)
            continue
        name, colon, value = line.partition(b":")
        known = _FIELDS.get(name.rstrip(_BLANKS).lower()) if colon else None
        if known is None:
            field = None
        elif known in fields:
            field = fields[known]
            field += b", " + value.strip(_BLANKS)
        else:
            field = fields[known] = bytearray(value.strip(_BLANKS))
    return {name: value.decode("latin-1").strip(" \t") for name, value in fields.items()}
