"""GIF: the size that browsers and Pillow show, and files that end without a trailer."""

import io

import pytest
from PIL import Image

from retail_pulse.domain.failures import FailureCode
from tests.measuring.quirks import gif, gif_picture, outcome

COMMENT = b"!\xfe\5hello\0"
# A comment whose sub-blocks look like a picture and a trailer.
DISGUISED = b"!\xfe\x0c" + gif_picture(0, 0, 9, 9)[:10] + b";;\0"
CONTROL = b"!\xf9\4\0\5\0\0\0"
PICTURE = gif_picture(0, 0, 61, 43)


@pytest.mark.parametrize(
    ("screen", "picture", "size"),
    [
        ((61, 43), (0, 0, 61, 43), (61, 43)),
        ((61, 43), (5, 7, 10, 10), (61, 43)),
        ((0, 0), (0, 0, 61, 43), (61, 43)),
        ((0, 0), (3, 5, 61, 43), (64, 48)),
        ((20, 30), (0, 0, 61, 43), (61, 43)),
        ((20, 100), (0, 0, 61, 43), (61, 100)),
        ((100, 20), (0, 0, 61, 43), (100, 43)),
        ((61, 43), (1, 0, 61, 43), (62, 43)),
        ((61, 43), (0, 1, 61, 43), (61, 44)),
        ((61, 43), (300, 400, 2, 3), (302, 403)),
    ],
)
@pytest.mark.parametrize("version", [b"87a", b"89a"])
def test_the_size_is_the_larger_of_the_screen_and_the_first_picture(
    screen: tuple[int, int], picture: tuple[int, int, int, int], size: tuple[int, int], version: bytes
) -> None:
    content = gif(screen, COMMENT, CONTROL, gif_picture(*picture), version=version) + b";"
    assert outcome(content) == outcome(content, 1) == outcome(content, 13) == size
    assert Image.open(io.BytesIO(content)).size == size


def test_later_pictures_do_not_count() -> None:
    content = gif((0, 0), CONTROL, PICTURE, CONTROL, gif_picture(50, 60, 70, 80)) + b";"
    assert outcome(content) == Image.open(io.BytesIO(content)).size == (61, 43)


@pytest.mark.parametrize("colors", [0, 2, 4, 256])
@pytest.mark.parametrize("own_colors", [0, 2, 256])
def test_color_tables_are_skipped(colors: int, own_colors: int) -> None:
    content = gif((61, 43), gif_picture(0, 0, 61, 43, colors=own_colors), CONTROL, PICTURE, colors=colors)
    assert outcome(content + b";") == (61, 43)
    assert outcome(content[:-1]) is FailureCode.TRUNCATED


@pytest.mark.parametrize("blocks", [(), (COMMENT, CONTROL), (DISGUISED,)], ids=["nothing", "extensions", "disguised"])
def test_a_gif_without_a_picture_is_not_an_image(blocks: tuple[bytes, ...]) -> None:
    content = gif((61, 43), *blocks)
    assert outcome(content + b";") is FailureCode.NOT_AN_IMAGE
    # It may have been cut before its picture.
    assert outcome(content) is FailureCode.TRUNCATED


@pytest.mark.parametrize("picture", [(0, 0, 0, 0), (0, 0, 5, 0), (0, 0, 0, 5)])
def test_a_gif_without_any_extent_is_not_an_image(picture: tuple[int, int, int, int]) -> None:
    assert outcome(gif((0, 0), gif_picture(*picture)) + b";") is FailureCode.NOT_AN_IMAGE
    # Chromium gives such a picture the size of the screen.
    assert outcome(gif((61, 43), gif_picture(*picture)) + b";") == (61, 43)


def test_a_gif_may_end_at_the_end_of_any_block_after_a_complete_picture() -> None:
    blocks = [COMMENT, CONTROL, gif_picture(0, 0, 9, 7), DISGUISED, CONTROL, gif_picture(0, 0, 3, 3), COMMENT]
    content = gif((9, 7), *blocks)
    ends = [len(gif((9, 7), *blocks[:count])) for count in range(3, len(blocks) + 1)]
    measured = [length for length in range(len(content) + 1) if outcome(content[:length]) == (9, 7)]
    assert measured == ends
    assert {outcome(content[:length]) for length in range(12, len(content)) if length not in ends} == {
        FailureCode.TRUNCATED
    }
    for end in ends:
        with Image.open(io.BytesIO(content[:end])) as image:
            image.load()


@pytest.mark.parametrize("rest", [b"\n", b"\0\0\n", b"<br>Warning, wait!;", b"PK\3\4,,,"], ids=repr)
@pytest.mark.parametrize("trailer", [b"", b";"])
def test_bytes_after_the_pictures_belong_to_nobody(rest: bytes, trailer: bytes) -> None:
    assert outcome(gif((61, 43), PICTURE) + trailer + rest) == (61, 43)


def test_padding_between_blocks_is_skipped() -> None:
    content = gif((61, 43), b"\0\0x\0", COMMENT, b"\0y", PICTURE, b"\0\0", CONTROL, b"\0", gif_picture(0, 0, 3, 3))
    assert outcome(content, 1) == outcome(content + b"\0\0") == (61, 43)
    assert Image.open(io.BytesIO(content)).size == (61, 43)
    assert outcome(content[:-1]) is FailureCode.TRUNCATED
