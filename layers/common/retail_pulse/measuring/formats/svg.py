"""SVG, which is not supported: this tells it from HTML pages and other XML by its first element."""

import re

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import Block, FormatReader, Size
from retail_pulse.measuring.steps import StepBudget

# Editors write licenses, and lists of entities of a few KB, before the first element.
_MAX_BYTES = 16 * 1024
# By the first bytes: a byte order mark, or "<" (XML 1.0, appendix F). All else is ASCII up to the first element.
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
# Blanks, the XML declaration and instructions, comments, a document type; then the element, perhaps with a prefix.
_SVG = re.compile(
    r"(?:\s|<\?.*?\?>|<!--.*?-->|<!(?i:doctype)\s+(?:[\w.-]+:)?svg\b[^\[>]*(?:\[.*?\]\s*)?>)*+<(?:[\w.-]+:)?svg[\s/>]",
    re.DOTALL,
)


def may_be_svg(head: bytes) -> bool:
    """Return whether a file with these first bytes is XML or HTML, as far as they tell."""
    return bool(head) and _text(head).lstrip()[:1] in ("", "<")


class SvgReader(FormatReader):
    """Refuses a file that starts like XML or HTML, with the code that fits."""

    def __init__(self, _head: bytes, _budget: StepBudget) -> None:
        self.size: Size | None = None
        self._content = bytearray()

    def feed(self, block: Block) -> None:
        """Read up to the first element.

        Raises
        ------
        MeasuringError
            The first element is known: see `is_complete`.
        """
        self._content += block
        if len(self._content) >= _MAX_BYTES:
            self.is_complete(len(self._content))

    def is_complete(self, _length: int) -> bool:
        """Raise the failure.

        Raises
        ------
        MeasuringError
            `unsupported_format` for an SVG, `not_an_image` for all else.
        """
        if _SVG.match(_text(bytes(self._content[:_MAX_BYTES]))):
            raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, "SVG is not supported")
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, "not a recognized image format")


def _text(content: bytes) -> str:
    return content.decode(_ENCODINGS.get(content[:2], "utf-8-sig"), errors="replace")
