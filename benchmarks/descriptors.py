"""Measures images of many hosts in one worker with Lambda's 1,024 descriptors: `python -m benchmarks.descriptors`.

A worker that keeps a socket per request to each host ends in "Too many open files" at the 11th host. Linux only: it
counts in /proc, and uses all of 127.0.0.0/8 as hosts.
"""

import argparse
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.harness.processes import made_in_new_process, served_by_new_process
from benchmarks.world.aws_stand_in.server import AwsStandIn
from benchmarks.world.functions import Functions, job_body
from benchmarks.world.served_images import urls
from local.images.pictures import Format, make_image
from local.images.server import ImageServer, stalled

_SAMPLE_SECONDS = 0.02
_NO_DELAY = {"DelayMinSeconds": "0", "DelayMaxSeconds": "0", "AllowedNetworks": "127.0.0.0/8"}


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted.

    Parameters
    ----------
    status
        The status of the job: completed if each image was measured.
    max_descriptors
        How many the worker had open at most.
    idle_sockets
        Sockets to image servers after the last image.
    """

    status: str
    max_descriptors: int
    idle_sockets: int


def count(images: int, hosts: int) -> Counts:
    """Measure one job with images of many hosts, in turn."""
    with (
        served_by_new_process(_serving) as base,
        made_in_new_process(AwsStandIn) as aws,
        made_in_new_process(Functions, aws.url(), **_NO_DELAY) as functions,
    ):
        port = urlsplit(base).port or 80
        bases = [f"http://127.0.0.{2 + host}:{port}" for host in range(hosts)]
        job_id = functions.submit(job_body(urls(bases, images))).body["job_id"]
        with _sampled(functions.pid()) as most:
            functions.process(aws.messages())
        return Counts(functions.status(job_id).body["status"], max(most), functions.sockets(port))


@contextmanager
def _serving() -> Iterator[str]:
    with ImageServer(host="0.0.0.0") as server:  # noqa: S104
        content = make_image(Format.PNG, 64, 48)
        for number in range(4):
            server.script(f"/{number}", stalled(content, seconds=0.02))
        yield f"http://127.0.0.1:{server.port}"


@contextmanager
def _sampled(pid: int) -> Iterator[list[int]]:
    """Count the open descriptors of a process, again and again."""
    found = [0]
    end = threading.Event()

    def sample() -> None:
        while not end.wait(_SAMPLE_SECONDS):
            found.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        end.set()
        thread.join()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.descriptors", description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="default: 20000")
    parser.add_argument("--hosts", type=int, default=100, help="default: 100")
    options = parser.parse_args(arguments)
    found = count(options.images, options.hosts)
    print(f"{options.images:,} images of {options.hosts} hosts: {found.status}")
    print(f"descriptors at most {found.max_descriptors}, sockets kept at the end {found.idle_sockets}")
    return 0 if found.status == "completed" else 1


if __name__ == "__main__":
    sys.exit(main())
