"""The place of each scenario: an embedded stack of two workers, two clients with keys of their own, and image hosts."""

import contextlib
import itertools
import json
import os
import resource
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from struct import pack
from typing import Any

from benchmarks.harness.processes import made_in_new_process
from benchmarks.stack.strangers.hosts import ImageHosts
from benchmarks.stack.strangers.workers import Watch, watching
from local.client import ApiClient
from local.images.server import Answer, Pause, head
from local.stack.process import StackProcess
from retail_pulse.domain.api_keys import new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable
from tests.measuring.corpus import png_chunk
from tests.support.memory import tree

STORE = "S00339218"
SIDE = 10
_POLL_SECONDS = 0.2
# `Scene.occupy` holds both workers for this long; enough for some submissions on a busy machine.
_HOLD_SECONDS = 6.0
_START_SECONDS = 60.0


def png(width: int, height: int) -> bytes:
    """Return a PNG of some 70 bytes that claims a size; only those of `SIDE` by `SIDE` can be shown."""
    header = pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(3 * SIDE))
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in chunks)


PICTURE = png(SIDE, SIDE)
GOOD: Answer = [head(len(PICTURE), "image/png") + PICTURE]


def after(seconds: float, answer: Answer = GOOD) -> Answer:
    """Return an answer that begins after some seconds."""
    return [Pause(seconds), *answer]


@dataclass(frozen=True, slots=True)
class Scene:
    """A running stack, its workers, its clients, and the hosts, whose script ``good`` answers well in every scene."""

    stack: StackProcess
    watch: Watch
    hosts: ImageHosts
    mallory: ApiClient
    alice: ApiClient

    def urls(self, script: str, count: int, hosts: slice = slice(None), *, tls: bool = False) -> list[str]:
        """Return different URLs of a script, one host after the other."""
        bases = itertools.cycle(self.hosts.bases(tls)[:-1][hosts])
        return [f"{next(bases)}/{script}/{number}" for number in range(count)]

    def submit(self, client: ApiClient, urls: Sequence[str]) -> int:
        """Submit a job of visits of five images, which fill chunks of 50."""
        return client.submit(*((STORE, list(urls[start : start + 5])) for start in range(0, len(urls), 5)))

    def seconds_to_end(self, client: ApiClient, job: int, limit: float) -> tuple[float, bool]:
        """Wait until a job ends, for at most so many seconds; return how long it took, and whether that was cut."""
        begin = time.monotonic()
        while client.read("/api/status", jobid=job)["status"] == "ongoing":
            if time.monotonic() - begin > limit:
                return limit, True
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - begin, False

    def rows(self, client: ApiClient, job: int) -> list[dict[str, Any]]:
        """Return the results of a job."""
        return list(client.results(job))

    def occupy(self) -> None:
        """Submit an image to each worker that holds it for some seconds, so that all messages sent meanwhile wait.

        The worker that is free first receives them as one batch, up to its limit of ten messages.
        """
        held = self.hosts.begun("hold")
        # At a host of its own: a worker that knows a host as a good one begins with more requests.
        url = f"{self.hosts.bases()[-1]}/hold/1"
        for number in (1, 2):
            self.submit(self.mallory, [url])
            self.wait_for("hold", held + number)

    def wait_for(self, script: str, requests: int, seconds: float = 30.0) -> None:
        """Wait until a script has answered some requests."""
        deadline = time.monotonic() + seconds
        while self.hosts.begun(script) < requests:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{script} has fewer than {requests} requests after {seconds:g} s")
            time.sleep(0.02)

    def log(self, message: str) -> list[dict[str, Any]]:
        """Return the log lines of functions with a message."""
        found = []
        for line in self.stack.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if f'"message":"{message}"' in line:
                found.append(json.loads(line[line.index("{") :]))
        return found


@contextlib.contextmanager
def scene(
    scripts: Mapping[str, Answer], hosts: int = 1, *, tls: bool = False, descriptors: int | None = None
) -> Iterator[Scene]:
    """Start everything, both workers included, and end it after the block.

    Parameters
    ----------
    scripts
        The answers of the hosts.
    hosts
        How many there are, besides the one of `Scene.occupy`.
    tls
        Whether they also listen with TLS, with certificates that the workers trust.
    descriptors
        The limit of descriptors of every process of the stack, as Lambda sets it.
    """
    usual = {"good": GOOD, "hold": after(_HOLD_SECONDS)}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="strangers-")) if tls else ""
        server = stack.enter_context(made_in_new_process(ImageHosts, usual | dict(scripts), hosts + 1, folder))
        stack.enter_context(_trusting(f"{folder}/ca.pem" if tls else None))
        running = stack.enter_context(StackProcess())
        if descriptors:
            for process in tree(running.pid):
                resource.prlimit(process, resource.RLIMIT_NOFILE, (descriptors, descriptors))
        table = ApiKeysTable(running.client("dynamodb"), running.table_name)
        clients = []
        for name in ("mallory", "alice"):
            key = new_key()
            table.issue(key, name)
            clients.append(stack.enter_context(ApiClient(running.url, key)))
        watch = stack.enter_context(watching(running.pid))
        made = Scene(running, watch, server, *clients)
        _start_workers(made)
        yield made


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Return what functions return that run at the same time."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def _start_workers(made: Scene) -> None:
    for number in range(1, 4):
        made.occupy()
        deadline = time.monotonic() + _START_SECONDS
        while len(made.log("processed")) < 2 * number and time.monotonic() < deadline:
            time.sleep(0.1)
        if len(made.watch.workers()) == 2:
            return
    raise TimeoutError(f"{len(made.watch.workers())} of 2 workers have started")


@contextlib.contextmanager
def _trusting(authority: str | None) -> Iterator[None]:
    """Write the authority that stacks trust that start in this block to the environment."""
    before = os.environ.get("SSL_CERT_FILE")
    if authority:
        os.environ["SSL_CERT_FILE"] = authority
    yield
    if authority:
        os.environ.pop("SSL_CERT_FILE")
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before
