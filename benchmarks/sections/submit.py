"""Submit at scale: 50,000 images in one call, validation, and a table that takes less than it is given."""

import json
import statistics
from collections.abc import Sequence

from benchmarks.harness.profiling import NO_PROFILE, profile, sampled
from benchmarks.harness.report import Figure, Plot, Section, Settings, Table
from benchmarks.world.aws_stand_in.process import ANSWER_SECONDS, AwsStandIn
from benchmarks.world.functions import Functions, Invocation, job_body
from benchmarks.world.served_images import urls

_IMAGES = 50_000
_STORES = ("S01592176", "S01244300", "S00339218", "S01408764")
# No image is fetched here: only the length of the URLs matters.
_BASE = "https://images.example.com"
_BODY_BYTES = 5_000_000
# What Lambda takes for one call, the event around the body included.
_EVENT_BYTES = 6 * 1024 * 1024
_EVENT_OVERHEAD_BYTES = 4096
# A new on-demand table takes 4,000 write units a second:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
# As long as the calls that are sampled, and more: what comes after them waits for an answer.
_PROFILE_SECONDS = 6
_THROTTLES = (4000, 1000, 500, 100)


def measure(settings: Settings) -> Section:
    """Measure submissions."""
    rounds = 3 if settings.quick else 9
    body = job_body(urls(_BASE, _IMAGES), _STORES)
    with AwsStandIn() as aws, Functions(aws.url) as functions:
        # A warm function has its connections; whose making is no part of a call.
        functions.submit(body)
        calls = [functions.submit(body) for _ in range(rounds)]
        validations = [functions.validate(_body_of(_BODY_BYTES)) for _ in range(rounds)]
        sizes = (1000, 10_000, 60_000) if settings.quick else (100, 1000, 5000, 10_000, 20_000, 40_000, 60_000)
        curve = {size: _median(functions, size, rounds) for size in sizes}
        samples = sampled(functions.pid, lambda: [functions.submit(body) for _ in range(rounds)], _PROFILE_SECONDS)
        throttled = [_throttled(aws, functions, body, rate) for rate in _THROTTLES[:: 3 if settings.quick else 1]]
    wall = statistics.median(call.seconds for call in calls)
    cpu = statistics.median(call.cpu_seconds for call in calls)
    validation = statistics.median(validations)
    return Section(
        "Submit at scale",
        f"The deployed handler, warm, in a process of its own, against the stand-in for AWS "
        f"({ANSWER_SECONDS * 1000:.0f} ms an answer); {_IMAGES:,} images in visits of 4, URLs of 70 bytes, a body of "
        f"{len(body) / 1e6:.1f} MB. The chunks are written by batches of 25, sixteen at once, and the pointers sent "
        f"likewise once the job is committed. Wall time of the {rounds} calls: {_spread(calls)}. One call takes "
        f"{cpu * 1000:.0f} ms of a processor, in one interpreter: "
        "what is above that is waiting for AWS, and for a processor where the machine has other work.\n\n"
        f"The largest job that fits into one call (6 MB, the body's quotes escaped) has {largest_job():,} such images; "
        "a client sends more than that as several jobs. A table that takes too little is given up after 12 s with 503: "
        "there is no job then, and the client submits again." + ("" if samples else f"\n\n{NO_PROFILE}"),
        figures=[
            Figure(
                f"submit of {_IMAGES:,} images in one call, AWS answering in 5 ms, median", wall * 1000, 300, "ms",
                # One thread at a time is on a processor, so that the rest is waiting.
                at_pace=(wall - cpu * (1 - settings.pace)) * 1000,
            ),
            Figure(
                "processor time of validating a body of 5 MB, median", validation * 1000, 100, "ms",
                at_pace=validation * 1000 * settings.pace,
            ),
            Figure(f"slowest answer to a submit of {_IMAGES:,} images to a throttled table",
                   max(seconds for _, seconds, _ in throttled), 25, "s"),
        ],
        tables=[
            Table(
                f"A submit of {_IMAGES:,} images to a table that takes so many write units a second",
                ["write units a second", "answer", "after", "BatchWriteItem calls"],
                [
                    [f"{rate:,}", str(status), f"{seconds:.1f} s", str(batches)]
                    for rate, (status, seconds, batches) in zip(
                        _THROTTLES[:: 3 if settings.quick else 1], throttled, strict=True
                    )
                ],
            ),
            *([profile("submit's", samples)] if samples else []),
        ],
        plots=[
            Plot(
                "submit-by-job-size", "Submit in one call", "images of the job", "ms",
                {
                    "wall time": [(float(size), wall * 1000) for size, (wall, _) in curve.items()],
                    "processor time": [(float(size), cpu * 1000) for size, (_, cpu) in curve.items()],
                },
            )
        ],
    )  # fmt: skip


def _spread(calls: Sequence[Invocation]) -> str:
    """Return the shortest and the longest time of calls."""
    return " to ".join(f"{choose(call.seconds for call in calls) * 1000:.0f} ms" for choose in (min, max))


def _median(functions: Functions, size: int, rounds: int) -> tuple[float, float]:
    body = job_body(urls(_BASE, size), _STORES)
    calls = [functions.submit(body) for _ in range(rounds)]
    return statistics.median(call.seconds for call in calls), statistics.median(call.cpu_seconds for call in calls)


def _throttled(aws: AwsStandIn, functions: Functions, body: str, rate: int) -> tuple[int, float, int]:
    """Return the status code of a submit to a throttled table, its seconds, and the batches that it took."""
    aws.reset()
    aws.throttle(rate)
    call = functions.submit(body)
    aws.throttle(None)
    return call.answer["statusCode"], call.seconds, aws.counts().dynamodb["BatchWriteItem", "CHUNK"].calls


def _body_of(size: int) -> str:
    """Return a body of about so many bytes."""
    bytes_an_image = len(job_body(urls(_BASE, 4000), _STORES)) / 4000
    return job_body(urls(_BASE, int(size / bytes_an_image)), _STORES)


def largest_job() -> int:
    """Return how many images fit into one call of Lambda, in visits of 4 and with URLs of 70 bytes."""
    images = 40_000
    body = json.dumps(job_body(urls(_BASE, images), _STORES))
    return int(images / len(body) * (_EVENT_BYTES - _EVENT_OVERHEAD_BYTES)) // 4 * 4
