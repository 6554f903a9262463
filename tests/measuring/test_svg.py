"""SVG is refused as such, whatever comes before its first element; other XML and HTML is not an image."""

import pytest

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.quirks import outcome

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="61" height="43"><rect/></svg>'
XML = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
PUBLIC = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n'
ENTITIES = '<!DOCTYPE svg [\n<!ENTITY ns "http://ns.example/[1]">\n<!ENTITY other "<b>">\n] >\n'
COMMENT = "<!-- Generator: <svg> editor - version 1 -->\n"
STYLE = '<?xml-stylesheet href="a.css" type="text/css"?>'

SVGS = {
    "plain": SVG,
    "nothing but the element": "<svg/>",
    "element without attributes": "<svg>\n</svg>",
    "attributes on other lines": "<svg\n width='5'/>",
    "blanks": " \t\r\n" * 50 + SVG,
    "declaration": XML + SVG,
    "comment": COMMENT + SVG,
    "license of 10 KB": XML + f"<!-- {'license ' * 1_250}-->" + SVG,
    "document type": XML + PUBLIC + SVG,
    "document type in small letters": "<!doctype svg>" + SVG,
    "document type with entities": XML + COMMENT + ENTITIES + SVG,
    "prefix": '<!DOCTYPE svg:svg><svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>',
    "all of them": XML + STYLE + COMMENT + "\n" + PUBLIC + COMMENT * 2 + SVG,
    "more than is looked at": XML + SVG + "x" * 40_000,
}
OTHERS = {
    "HTML": "<!doctype html><html><body>" + SVG,
    "HTML without an html element": "<!DOCTYPE html>" + SVG,
    "HTML in XML": XML + '<html xmlns="http://www.w3.org/1999/xhtml">' + SVG + "</html>",
    "another document type": '<!DOCTYPE svgfont SYSTEM "a.dtd">' + SVG,
    "another element": XML + "<rss>" + SVG + "</rss>",
    "an element that starts like it": "<svgfont/>",
    "an element that ends like it": "<my.nosvg/>",
    "text": "svg " + SVG,
    "text after the declaration": XML + "x" + SVG,
    "an open comment": "<!-- " + SVG,
    "an open declaration": "<?xml " + SVG,
    "an open document type": "<!DOCTYPE svg [ " + SVG,
    "blanks only": " \n" * 100,
    "more blanks than are read": " " * 16_384 + SVG,
    "a page of 1 MB": "<html>" + "<p>text</p>" * 100_000,
    "an opening bracket": "<",
}
ENCODINGS = {"utf-8": b"", "utf-8-sig": b"", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


@pytest.mark.parametrize("name", SVGS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("block", [1, 13, 70_000])
def test_an_svg_is_refused_as_such(name: str, encoding: str, block: int) -> None:
    # In UTF-16 the license has 20 KB.
    text = SVGS[name] if encoding.startswith("utf-8") else SVGS[name].replace("license ", "")
    content = ENCODINGS[encoding] + text.encode(encoding)
    assert outcome(content, block) is FailureCode.UNSUPPORTED_FORMAT


def test_the_first_16_kb_decide() -> None:
    assert outcome(b" " * (16_384 - 5) + b"<svg/>") is FailureCode.UNSUPPORTED_FORMAT
    assert outcome(b" " * (16_384 - 4) + b"<svg/>") is FailureCode.NOT_AN_IMAGE


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_an_svg_without_a_byte_order_mark_is_refused_as_such(encoding: str) -> None:
    assert outcome((XML + SVG).encode(encoding)) is FailureCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("block", [13, 70_000])
def test_other_pages_are_not_images(name: str, encoding: str, block: int) -> None:
    content = ENCODINGS[encoding] + OTHERS[name].encode(encoding)
    assert outcome(content, block) is FailureCode.NOT_AN_IMAGE


def test_letters_of_other_encodings_do_not_matter() -> None:
    assert outcome("<!-- été -->".encode("latin-1") + SVG.encode()) is FailureCode.UNSUPPORTED_FORMAT
    assert outcome(b"\xff\xfe") is FailureCode.NOT_AN_IMAGE


def test_no_more_is_downloaded_than_tells() -> None:
    with SizeReader(100) as reader, pytest.raises(MeasuringError, match="SVG is not supported"):
        reader.feed((SVG + "<g/>" * 5_000).encode())
