"""Images for tests of whole stacks."""

from collections.abc import Iterator

import pytest

from local.images.pictures import Format, make_image
from local.images.server import ImageServer


@pytest.fixture
def images() -> Iterator[ImageServer]:
    with ImageServer() as server:
        yield server


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A JPEG of 120 by 90 pixels: a perimeter of 420."""
    return make_image(Format.JPEG, 120, 90)
