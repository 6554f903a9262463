"""Splits visits into parts that the service accepts, each one job."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pulse.visits import Visit

MAX_IMAGES: Final = 50_000
MAX_BODY_BYTES: Final = 5_000_000
_AROUND: Final = len('{"count":,"visits":[],"metadata":}') + len(str(MAX_IMAGES))
# JSON as the service reads it, without blanks.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Part:
    """The visits of one job, as JSON, and how many images they have."""

    visits: Sequence[bytes]
    images: int

    def body(self, metadata: Mapping[str, str]) -> bytes:
        """Return the body of the submission."""
        head = f'{{"count":{len(self.visits)},"visits":['.encode()
        tail = f'],"metadata":{_encode(dict(metadata))}}}'.encode()
        return head + b",".join(self.visits) + tail


def split(
    visits: Iterable[Visit],
    *,
    metadata_bytes: int = 0,
    max_images: int = MAX_IMAGES,
    max_bytes: int = MAX_BODY_BYTES,
) -> list[Part]:
    """Split visits into parts, in their order.

    A visit is in one part, unless it has more images or bytes than a part can have.

    Parameters
    ----------
    metadata_bytes
        How long the metadata of a body is, as JSON.
    max_images, max_bytes
        Limits of a part, and of its body.
    """
    max_visits_bytes = max_bytes - _AROUND - metadata_bytes
    parts: list[Part] = []
    current: list[bytes] = []
    images = size = 0
    for visit in visits:
        for piece in _pieces(visit, max_images, max_visits_bytes):
            encoded = _encode_visit(piece)
            if current and (images + len(piece.image_urls) > max_images or size + len(encoded) + 1 > max_visits_bytes):
                parts.append(Part(current, images))
                current, images, size = [], 0, 0
            current.append(encoded)
            images += len(piece.image_urls)
            size += len(encoded) + 1
    return [*parts, Part(current, images)] if current else parts


def metadata_size(metadata: Mapping[str, str]) -> int:
    """Return how many bytes metadata takes in a body."""
    return len(_encode(dict(metadata)).encode())


def _encode_visit(visit: Visit) -> bytes:
    fields = {"store_id": visit.store_id, "image_url": visit.image_urls, "visit_time": visit.visit_time}
    return _encode(fields).encode()


def _pieces(visit: Visit, max_images: int, max_bytes: int) -> Iterator[Visit]:
    """Yield the visit, or pieces of it that each fit into a part."""
    if len(visit.image_urls) <= max_images and len(_encode_visit(visit)) < max_bytes:
        yield visit
        return
    around = len(_encode_visit(visit._replace(image_urls=[])))
    piece: list[str] = []
    size = around
    for url in visit.image_urls:
        length = len(_encode(url).encode()) + 1
        if piece and (len(piece) == max_images or size + length >= max_bytes):
            yield visit._replace(image_urls=piece)
            piece, size = [], around
        piece.append(url)
        size += length
    yield visit._replace(image_urls=piece)
