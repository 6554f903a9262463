"""Visits to stores, the parts that they are cut into, and the rows that reports read."""

from collections.abc import Sequence
from typing import NamedTuple


# A tuple is created in a third of the time of a frozen dataclass, and a large body has 12,500 visits.
class Visit(NamedTuple):
    """One store visited at one time, with its image URLs, as the client wrote them."""

    store_id: str
    visit_time: str
    image_urls: Sequence[str]


class VisitPart(NamedTuple):
    """The images of one visit in one chunk; most visits have a single part.

    Parameters
    ----------
    visit
        Position of the visit in the body, from 0.
    part, parts
        The part's number, from 1, and how many parts the visit has.
    first_image
        Position within the visit of the part's first image, from 0.
    """

    visit: int
    part: int
    parts: int
    first_image: int
    store_id: str
    visit_time: str
    image_urls: Sequence[str]


class VisitRow(NamedTuple):
    """A part of a visit whose images are all measured, as reports read it."""

    client: str
    job_id: int
    visit: int
    part: int
    parts: int
    store_id: str
    visit_time: str
    perimeter: int
    images: int


class PlacedRow(NamedTuple):
    """A visit row, and the position of its visit among those of its store."""

    position: str
    row: VisitRow


class StoreRows(NamedTuple):
    """Rows of whole visits to a store, in the order of time.

    ``next_after`` is the position of the last visit that was read, None when there are no more.
    """

    rows: Sequence[PlacedRow]
    next_after: str | None
