"""Clients that download images and open them with Pillow: what ours is compared with.

A client runs warm in its own process. The interpreter is that of `make peers`, so nothing of the service is imported
here: ``.peers/bin/python -m benchmarks.world.clients aiohttp`` reads lines with a list of URLs, and answers each with a
line of what it measured, both as JSON.
"""

import asyncio
import gc
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import requests
from PIL import Image
from requests.adapters import HTTPAdapter

AT_ONCE = 100
_TIMEOUT_SECONDS = 20
Size: TypeAlias = tuple[int, int]
Measure: TypeAlias = Callable[[Sequence[str]], Sequence[Size]]


@dataclass(frozen=True, slots=True)
class Downloads:
    """What a client took for a number of URLs, and the width and height of each image."""

    seconds: float
    cpu_seconds: float
    sizes: Sequence[Size]


def timed(measure: Measure, urls: Sequence[str]) -> Downloads:
    """Measure images by their URLs, with the processor time of the whole process."""
    begin, cpu = time.perf_counter(), time.process_time()
    sizes = measure(urls)
    return Downloads(
        time.perf_counter() - begin, time.process_time() - cpu, [(width, height) for width, height in sizes]
    )


def opened(content: bytes) -> Size:
    """Return the size that Pillow reads from an image, whose pixels it does not decode."""
    with Image.open(io.BytesIO(content)) as image:
        return image.size


def plain_size(url: str) -> Size:
    """Download an image with plain requests, and open it."""
    return opened(requests.get(url, timeout=_TIMEOUT_SECONDS).content)


def _requests_get() -> Measure:
    pool = ThreadPoolExecutor(AT_ONCE)
    return lambda urls: list(pool.map(plain_size, urls))


def _requests_session() -> Measure:
    pool, session = ThreadPoolExecutor(AT_ONCE), requests.Session()
    # By default it keeps ten connections.
    session.mount("http://", HTTPAdapter(pool_maxsize=AT_ONCE))
    return lambda urls: list(pool.map(lambda url: opened(session.get(url, timeout=_TIMEOUT_SECONDS).content), urls))


def _aiohttp() -> Measure:
    import aiohttp

    async def connected() -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE), timeout=timeout)

    async def measured(urls: Sequence[str]) -> list[Size]:
        sizes: list[Size] = [(0, 0)] * len(urls)
        places = iter(range(len(urls)))

        async def work() -> None:
            for place in places:
                async with session.get(urls[place]) as response:
                    sizes[place] = opened(await response.read())

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return sizes

    loop = asyncio.new_event_loop()
    session = loop.run_until_complete(connected())
    return lambda urls: loop.run_until_complete(measured(urls))


def _pycurl() -> Measure:
    import pycurl

    multi = pycurl.CurlMulti()
    handles = [pycurl.Curl() for _ in range(AT_ONCE)]

    def begin(handle: Any, places: Iterator[int], urls: Sequence[str]) -> bool:
        """Request the next image, and return whether there is one."""
        handle.place = next(places, None)
        if handle.place is None:
            return False
        handle.body = io.BytesIO()
        handle.setopt(pycurl.URL, urls[handle.place])
        handle.setopt(pycurl.TIMEOUT, _TIMEOUT_SECONDS)
        handle.setopt(pycurl.WRITEDATA, handle.body)
        multi.add_handle(handle)
        return True

    def measured(urls: Sequence[str]) -> list[Size]:
        sizes: list[Size] = [(0, 0)] * len(urls)
        places = iter(range(len(urls)))
        active = sum(begin(handle, places, urls) for handle in handles)
        while active:
            multi.perform()
            _, good, bad = multi.info_read(AT_ONCE)
            if bad:
                raise OSError(bad[0][2])
            for handle in good:
                sizes[handle.place] = opened(handle.body.getvalue())
                multi.remove_handle(handle)
                active -= not begin(handle, places, urls)
            multi.select(1.0)
        return sizes

    return measured


def _img2dataset() -> Measure:
    # Otherwise one of its packages asks the internet for a newer release.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import pyarrow as pa
    from img2dataset.downloader import Downloader
    from img2dataset.resizer import Resizer

    sizes: dict[str, Size] = {}

    class Writer:
        """Opens what would be written as a file."""

        def __init__(self, *_: object) -> None:
            sizes.clear()

        def write(self, content: bytes, _key: str, _caption: str | None, meta: dict[str, Any]) -> None:
            sizes[meta["url"]] = opened(content)

        def close(self) -> None:
            pass

    folder = tempfile.TemporaryDirectory()
    download = Downloader(
        Writer,
        # Files as they are: otherwise it decodes every image and encodes it again.
        Resizer(256, "no", resize_only_if_bigger=False, disable_all_reencoding=True),
        thread_count=AT_ONCE, save_caption=False, extract_exif=False, output_folder=folder.name, column_list=["url"],
        timeout=_TIMEOUT_SECONDS, number_sample_per_shard=10_000, oom_shard_count=5, compute_hash=None,
        verify_hash_type=None, encode_format="jpg", retries=0, user_agent_token=None, disallowed_header_directives=None,
    )  # fmt: skip

    def measured(urls: Sequence[str]) -> list[Size]:
        shard = Path(folder.name) / "0.arrow"
        table = pa.table({"url": urls})
        with pa.OSFile(str(shard), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        download((0, str(shard)))
        return [sizes[url] for url in urls]

    return measured


CLIENTS: dict[str, Callable[[], Measure]] = {
    "aiohttp": _aiohttp,
    "pycurl": _pycurl,
    "requests.Session": _requests_session,
    "requests.get": _requests_get,
    "img2dataset": _img2dataset,
}


def main() -> None:
    """Answer lines with URLs until the input ends."""
    # What a library prints goes to the other output.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    measure = CLIENTS[sys.argv[1]]()
    # As ours is tuned.
    gc.freeze()
    gc.set_threshold(100_000)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(timed(measure, json.loads(line)))), file=answers, flush=True)


if __name__ == "__main__":
    main()
