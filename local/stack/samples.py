"""Sample images and a file of visits, so that what ``make serve`` prints works without the internet."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from retail_pulse.storage.store_master import StoreMaster

_IMAGES = {"shelf-1.jpg": (Format.JPEG, 1600, 1200), "shelf-2.png": (Format.PNG, 640, 480)}
_VISIT_TIMES = ("2026-11-23T10:00:00Z", "2026-11-24T15:30:00Z")
# For a store master without stores, whose images then fail as those of an unknown store.
_STORE = "S00339218"


@dataclass(frozen=True, slots=True)
class Samples:
    """What can be submitted: a store, the address of an image of it, and a file of visits."""

    store_id: str
    image_url: str
    visits_file: Path


@contextlib.contextmanager
def samples(folder: Path) -> Iterator[Samples]:
    """Serve sample images on a free port while the block runs, and write a file of visits into a folder."""
    stores = [store.store_id for store in islice(StoreMaster.load(), len(_VISIT_TIMES))] or [_STORE]
    with ImageServer() as server:
        urls = [server.add(f"/{name}", make_image(*image)) for name, image in _IMAGES.items()]
        visits_file = folder / "visits.csv"
        rows = [f"{store},{time},{url}" for store, time in zip(stores, _VISIT_TIMES, strict=False) for url in urls]
        visits_file.write_text("\n".join(["store_id,visit_time,image_url", *rows]) + "\n", encoding="utf-8")
        yield Samples(stores[0], urls[0], visits_file)
