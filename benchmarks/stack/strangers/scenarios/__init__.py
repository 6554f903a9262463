"""The scenarios: each starts its own scene, attacks it, and returns what it found."""

from collections.abc import Callable

from benchmarks.stack.strangers.report import Finding
from benchmarks.stack.strangers.scenarios import deaths, fairness, guests, workers

# What each does, and the function that does it.
SCENARIOS: dict[str, tuple[str, Callable[[], list[Finding]]]] = {
    "F1": (
        "Every process of the stack has Lambda's 1,024 descriptors. mallory submits 6,000 images at 24 hosts that "
        "answer after 0.5 s and keep connections. alice submits 20 images when that job has ended, or after 45 s.",
        workers.descriptors,
    ),
    "F2": (
        "One worker gets 100 images at once whose heads have 64 KB: one line, in which bare CRs part 11,000 headers. "
        "The rest of each image follows after 6 s.",
        workers.heads,
    ),
    "F3": (
        "A host sends a second answer, to 6666 × 6666, after those of mallory's images: at once, 0.22 s later, or in "
        "the same TLS record. mallory submits jobs of 60 images up to four times per second. alice submits 22 jobs "
        "of 20 images at the same host. Everybody's good images are 10 × 10.",
        workers.connections,
    ),
    "F4-workers": (
        "mallory submits 1,500 images that drip for 18 s each, at 240 hosts. Once 150 are in flight, alice submits "
        "jobs of one good image, one after the other.",
        fairness.workers,
    ),
    "F4-moment": ("950 such images and alice's job of one image arrive at the same moment.", fairness.moment),
    "F4-shared": (
        "Both workers are held; meanwhile mallory submits 20 such images and alice 5 good ones. The first worker "
        "that is free receives all of them as one batch.",
        fairness.shared,
    ),
    "F5-503": (
        "mallory submits 300 URLs at one host that answers 503 with `Retry-After: 0` after 0.3 s.",
        guests.refusing(guests.NO_WAIT),
    ),
    "F5-429": ("The same with 429 and `Retry-After: 20`.", guests.busy),
    "F5-tarpit": ("The same with a host that never answers.", guests.refusing(guests.TARPIT)),
    "F5-resets": (
        "The same with a host that resets every connection after 0.2 s. (Connections that are refused cannot be "
        "counted from the outside.)",
        guests.refusing(guests.RESETS),
    ),
    "F5-redirects": ("300 URLs at 20 hosts redirect to one host that answers 503 after 0.3 s.", guests.redirects),
    "F5-equal": ("A job has 1,000 times the same URL.", guests.equal),
    "F5-retries": ("A job of 1,000 images that are 404 is retried by 22 requests in 15 s.", guests.retries),
    "F5-healthy": ("A job of 3,000 small images at one host that answers well after 0.2 s.", guests.healthy),
    "F6": (
        "One batch has 450 AVIF bombs of mallory's, whose item locations have 262,000 extents in a few hundred bytes "
        "of gzip, and 50 good images of alice's.",
        workers.bombs(workers.BOMB),
    ),
    "F6-within": (
        "The same with AVIFs of 26,000 extents, about as many as the limits still let through.",
        workers.bombs(workers.WITHIN_LIMITS),
    ),
    "dead-host": ("Jobs of three good images and one at a dead host; results are read every second.", deaths.host),
    "dead-worker": ("The worker that has a job of 50 images is killed by SIGKILL.", deaths.worker),
}
