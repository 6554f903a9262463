"""AVIF files of an encoder: what Pillow decodes is measured, and what it calls truncated is truncated."""

import io

import pytest
from PIL import Image

from local.images.pictures import Format
from tests.measuring.corpus import box, cuts_of, made, saved
from tests.measuring.iso_reading import outcome

STILL, MOVING = made(Format.AVIF), made(Format.AVIF, frames=3)
WHOLE = {
    "still": STILL,
    "moving": MOVING,
    "with alpha": saved("AVIF", "RGBA"),
    "with a profile of 2 MB": saved("AVIF", icc_profile=bytes(2_000_000)),
    "still, with another main brand": STILL[:8] + b"mif1" + STILL[12:],
    "still, with a newline": STILL + b"\n",
    "moving, with a newline": MOVING + b"\n",
    "still, with zeros": STILL + bytes(100),
    "still, with bytes that are not a box": STILL + b"\xff" * 50,
    "still, with a box that is cut": STILL + box(b"mpvd", bytes(5_000))[:100],
}


def pillow_size(content: bytes) -> tuple[int, int] | None:
    """Return the size of a file that Pillow decodes."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return image.size
    except (OSError, SyntaxError):
        return None


@pytest.mark.parametrize("name", WHOLE)
def test_what_pillow_decodes_is_measured(name: str) -> None:
    size = pillow_size(WHOLE[name])
    assert size is not None
    assert outcome(WHOLE[name]) == f"AVIF {size[0]} x {size[1]}"


@pytest.mark.parametrize("name", ["still", "moving", "with alpha"])
def test_pillow_calls_the_same_cuts_truncated(name: str) -> None:
    content = WHOLE[name]
    for length in cuts_of(len(content), 60):
        assert pillow_size(content[:length]) is None
        assert length < 12 or outcome(content[:length]).startswith("truncated: the AVIF is incomplete")
