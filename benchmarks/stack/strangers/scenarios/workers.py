"""What one client's images can do to a worker's descriptors, memory, processor and connections: F1, F2, F3 and F6."""

import contextlib
import gzip
import threading
import time
from collections.abc import Callable
from struct import pack

from benchmarks.stack.strangers.report import Finding
from benchmarks.stack.strangers.scene import PICTURE, SIDE, Scene, after, png, scene
from local.images.server import Answer, Pause, head
from tests.measuring.corpus import box

_LAMBDA_DESCRIPTORS = 1024
_EVIL_SIDE = 6666
_HEAD_BYTES = 65_000
_BOMBS = 450
_MAX_EXTENTS = 65_535


def descriptors() -> list[Finding]:
    """Fill the workers with idle connections (F1)."""
    with scene({"slow": after(0.5)}, 26, descriptors=_LAMBDA_DESCRIPTORS) as made:
        usual, _ = made.seconds_to_end(made.alice, made.submit(made.alice, made.urls("good", 20, slice(24, 25))), 30)
        begin = time.monotonic()
        # One host after the other, so that all threads of a worker have a connection to each.
        flood = made.submit(made.mallory, sorted(made.urls("slow", 6_000, slice(24))))
        made.seconds_to_end(made.mallory, flood, 45)
        full = made.watch.peak("descriptors", begin)
        ended = time.monotonic()
        job = made.submit(made.alice, made.urls("good", 20, slice(25, 26)))
        seconds, is_cut = made.seconds_to_end(made.alice, job, 60)
        measured = _measured(made, job)
        time.sleep(max(0.0, ended + 65 - time.monotonic()))
        rested = time.monotonic()
        # Both workers get something to do, which those that are full cannot do.
        with contextlib.suppress(TimeoutError):
            made.occupy()
        time.sleep(2)
        left = made.watch.peak("descriptors", rested + 1)
        done = _measured(made, flood, of_alice=False)
    return [
        Finding("alice's 20 good images at a host of their own, before the attack", usual, "s"),
        Finding("mallory's images measured, of 6,000 at 24 hosts", done),
        Finding("peak of descriptors per worker, of 1,024", full, target=400),
        Finding("alice's 20 good images at a new host, after it", seconds, "s", 30, is_cut=is_cut),
        Finding("of them measured", measured, target=20, at_least=True),
        Finding("descriptors per worker 65 s after the attack", left, target=50),
    ]


def heads() -> list[Finding]:
    """Send heads of 64 KB that are one line of thousands of headers parted by bare CRs (F2)."""
    lines = b"".join(b"%x:\r" % number for number in range(11_200))[:_HEAD_BYTES]
    begin = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(PICTURE)
    with scene({"cr": [begin + lines + b"\r\n\r\n" + PICTURE[:40], Pause(6), PICTURE[40:]]}, 25) as made:
        made.watch.connections = True
        made.occupy()
        job = made.submit(made.mallory, made.urls("cr", 100))
        at = time.monotonic()
        seconds, is_cut = made.seconds_to_end(made.mallory, job, 100)
        grown, before = made.watch.growth(at)
        measured = _measured(made, job, of_alice=False)
    return [
        Finding("resident memory per worker before", before / 1e6, "MB"),
        Finding("growth at its peak, 100 such heads at once", grown / 1e6, "MB", 20),
        Finding("of the images measured", measured, target=100, at_least=True),
        Finding("until the job ended", seconds, "s", is_cut=is_cut),
    ]


def connections() -> list[Finding]:
    """Send answers that were not asked for, on connections that another image may get (F3)."""
    evil = png(_EVIL_SIDE, _EVIL_SIDE)
    good, second = (head(len(picture), "image/png") + picture for picture in (PICTURE, evil))
    # http.client's buffer swallows what it has read of the filler; the rest lies decrypted in OpenSSL, unseen.
    record = good.ljust(8192) + second
    scripts: dict[str, Answer] = {"late": [good, Pause(0.22), second], "now": [good + second], "record": [record]}
    with scene(scripts, 1, tls=True) as made:
        end, jobs = threading.Event(), list[int]()
        attack = threading.Thread(target=_poison, args=(made, end, jobs))
        attack.start()
        alices = []
        for _ in range(22):
            alices.append(made.submit(made.alice, [*made.urls("good", 10), *made.urls("good", 10, tls=True)]))
            time.sleep(0.8)
        end.set()
        attack.join()
        for job in alices:
            made.seconds_to_end(made.alice, job, 40)
        made.seconds_to_end(made.mallory, jobs[-1], 40)
        rows = [row for job in alices for row in made.rows(made.alice, job)]
        others = [row for job in jobs for row in made.rows(made.mallory, job) if "/good/" in row["url"]]
    ended = [row for row in others if row["outcome"] == "measured"]
    return [
        Finding(
            "alice's images, with the size of another image, of 440", sum(_is_wrong(row) for row in rows), target=0
        ),
        Finding(
            "alice's images with their own size", sum(row["width"] == SIDE for row in rows), target=440, at_least=True
        ),
        Finding("mallory's own good images measured meanwhile", len(ended)),
        Finding("of them with the size of another image", sum(map(_is_wrong, ended)), target=0),
    ]


def bombs(content: bytes) -> Callable[[], list[Finding]]:
    """Return a scenario: 450 bombs and alice's 50 images become one batch (F6)."""

    def run() -> list[Finding]:
        bomb = gzip.compress(content, 9)
        answer = head(len(bomb), "image/avif", 200, ("Content-Encoding", "gzip")) + bomb
        with scene({"bomb": [answer]}, 21) as made:
            made.occupy()
            attack = made.submit(made.mallory, made.urls("bomb", _BOMBS, slice(20)))
            job = made.submit(made.alice, made.urls("good", 50, slice(20, 21)))
            # Both workers still wait.
            begin, cpu = time.monotonic(), made.watch.cpu_seconds()
            made.wait_for("bomb", 1)
            seconds, is_cut = made.seconds_to_end(made.alice, job, 120)
            measured = _measured(made, job)
            made.seconds_to_end(made.mallory, attack, 60)
            bombs_measured = _measured(made, attack, of_alice=False)
            cpu = made.watch.cpu_seconds() - cpu
            grown, _ = made.watch.growth(begin)
        return [
            Finding("bytes of a bomb's answer", len(answer)),
            Finding("alice's 50 good images in the same batch", seconds, "s", 30, is_cut=is_cut),
            Finding("of them measured", measured, target=50, at_least=True),
            Finding("of the bombs measured", bombs_measured),
            Finding("CPU time of the workers", cpu, "s"),
            Finding("per bomb, downloads and storage included", 1000 * cpu / _BOMBS, "ms", 20),
            Finding("growth of resident memory per worker at its peak", grown / 1e6, "MB"),
        ]

    return run


def avif(extents: int, length_bytes: int) -> bytes:
    """Return an AVIF with so many extents of items, whose lengths take so many bytes each."""
    parts = [min(_MAX_EXTENTS, extents - start) for start in range(0, extents, _MAX_EXTENTS)]
    items = b"".join(pack(">HHH", 1, 0, count) + bytes(count * length_bytes) for count in parts)
    iloc = box(b"iloc", bytes(4) + bytes([length_bytes, 0]) + pack(">H", len(parts)) + items)
    size = box(b"ipco", box(b"ispe", bytes(4) + pack(">II", SIDE, SIDE)))
    properties = box(b"iprp", size + box(b"ipma", bytes(4) + pack(">IHBB", 1, 1, 1, 1)))
    meta = box(b"meta", bytes(4) + box(b"pitm", bytes(4) + pack(">H", 1)) + properties + iloc)
    return box(b"ftyp", b"avif" + bytes(4) + b"avifmif1") + meta + box(b"mdat", bytes(8))


# The attack's: 256 KB, 409 bytes in gzip.
BOMB = avif(262_000, 1)
# Nearly the largest one that the limits still let through.
WITHIN_LIMITS = avif(26_000, 4)


def _poison(made: Scene, end: threading.Event, jobs: list[int]) -> None:
    """Submit jobs of mallory's, four per second, until the event."""
    while not end.wait(0.25):
        plain = [each for script in ("late", "now", "good") for each in made.urls(script, 15)]
        jobs.append(
            made.submit(made.mallory, [*plain, *made.urls("record", 8, tls=True), *made.urls("good", 7, tls=True)])
        )


def _is_wrong(row: dict[str, object]) -> bool:
    return row["width"] not in (None, SIDE)


def _measured(made: Scene, job: int, *, of_alice: bool = True) -> int:
    client = made.alice if of_alice else made.mallory
    return sum(row["outcome"] == "measured" for row in made.rows(client, job))
