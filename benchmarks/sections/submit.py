"""Measures submit at scale: 50,000 images in one call, validation, and a throttled table."""

import json
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.harness.processes import made_in_new_process
from benchmarks.harness.profiling import NO_PROFILE, profile, sampled
from benchmarks.harness.report import Figure, Plot, Section, Settings, Table
from benchmarks.world.aws_stand_in.server import ANSWER_SECONDS, AwsStandIn
from benchmarks.world.functions import Functions, Invocation, job_body
from benchmarks.world.naive import Naive
from benchmarks.world.served_images import urls

_IMAGES = 50_000
# No image is downloaded here, so only the length of the URLs matters.
_BASE = "https://images.example.com"
_BODY_BYTES = 5_000_000
# Lambda's limit for one call, including the event around the body.
_EVENT_BYTES = 6 * 1024 * 1024
_EVENT_OVERHEAD_BYTES = 4096
# After which API Gateway answers in submit's place:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
_API_SECONDS = 30
_NAIVE_ROUNDS = 3
# Longer than the sampled calls take: the process waits after them.
_PROFILE_SECONDS = 6
# A new on-demand table accepts 4,000 write units per second:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
_THROTTLES = (4000, 1000, 500, 100)


def measure(settings: Settings) -> Section:
    """Measure submissions."""
    rounds = 3 if settings.quick else 9
    rates = _THROTTLES[:: 3 if settings.quick else 1]
    sizes = (1000, 10_000, 60_000) if settings.quick else (100, 1000, 5000, 10_000, 20_000, 40_000, 60_000)
    body = job_body(urls(_BASE, _IMAGES))
    with made_in_new_process(AwsStandIn) as aws, made_in_new_process(Functions, aws.url()) as functions:
        # Warm up: only the first call opens connections.
        functions.submit(body)
        calls, naive = _in_turns(functions, body, rounds, settings)
        validation = statistics.median(functions.validate(_body_of(_BODY_BYTES)) for _ in range(rounds))
        curve = {size: _timed(functions, size, rounds) for size in sizes}
        samples = sampled(functions.pid(), lambda: [functions.submit(body) for _ in range(rounds)], _PROFILE_SECONDS)
        throttled = {rate: _throttled(aws, functions, body, rate) for rate in rates}
    slowest = max(seconds for _, seconds, _ in throttled.values())
    return Section(
        "Submit at scale",
        _text(len(body), calls, validation, naive),
        figures=[
            Figure(f"CPU time of a submit of {_IMAGES:,} images in one call, against the naive submit",
                   _medians(calls)[1] / naive, 0.03),
            Figure(f"slowest answer to a submit of {_IMAGES:,} images to a throttled table, against API Gateway's "
                   f"{_API_SECONDS} s", slowest / _API_SECONDS, 0.83),
        ],
        tables=[_by_rate(throttled), *([profile("submit", samples)] if samples else [])],
        plots=[
            Plot(
                "submit-by-job-size", "Submit in one call", "images per job", "ms",
                {
                    "wall time": [(float(size), wall * 1000) for size, (wall, _) in curve.items()],
                    "CPU time": [(float(size), cpu * 1000) for size, (_, cpu) in curve.items()],
                },
            )
        ],
        details=_details() if samples else f"{_details()}\n\n{NO_PROFILE}",
    )  # fmt: skip


def _in_turns(functions: Functions, body: str, rounds: int, settings: Settings) -> tuple[Sequence[Invocation], float]:
    """Return the calls, and the processor time of the naive submit of as many images."""
    # It takes a minute per 50,000 images. Its calls are all alike, so fewer images show what one takes.
    images = _IMAGES // 25 if settings.quick else _IMAGES
    smaller = job_body(urls(_BASE, images))
    calls, naive = [], []
    with made_in_new_process(AwsStandIn) as aws, made_in_new_process(Naive, aws.url()) as submit:
        submit.submit(job_body(urls(_BASE, 100)))
        for _ in range(_NAIVE_ROUNDS):
            calls += [functions.submit(body) for _ in range(rounds // _NAIVE_ROUNDS)]
            naive.append(submit.submit(smaller) * _IMAGES / images)
    return calls, statistics.median(naive)


def _text(body_bytes: int, calls: Sequence[Invocation], validation: float, naive: float) -> str:
    wall, cpu = _medians(calls)
    return (
        "The deployed handler, warm and in its own process, against the stand-in for AWS "
        f"({ANSWER_SECONDS * 1000:.0f} ms per answer). {_IMAGES:,} images in visits of 4, URLs of 70 bytes, a body of "
        f"{body_bytes / 1e6:.1f} MB. One call takes {wall * 1000:.0f} ms ({_spread(calls)} in {len(calls)} calls), of "
        f"them {cpu * 1000:.0f} ms of CPU time. Validating a body of {_BODY_BYTES / 1e6:.0f} MB takes "
        f"{validation * 1000:.0f} ms of CPU time. The naive submit, in turns with ours, writes an item and sends a "
        f"message per image, in full batches and one thread: {naive:.1f} s of CPU time."
    )


def _details() -> str:
    return (
        "Chunks are written in batches of 25, up to sixteen batches at once. Once the job is committed, its pointers "
        f"are sent in the same way. The largest job that fits into one call (6 MB, with the body's quotes escaped) has "
        f"{largest_job():,} such images. A client sends more as several jobs. If the table does not accept the writes "
        "within 12 s, submit answers 503. No job is stored then, and the client submits again."
    )


def _by_rate(throttled: Mapping[int, tuple[int, float, int]]) -> Table:
    title = f"A submit of {_IMAGES:,} images to a table with a limit on write units per second"
    columns = ["write units per second", "answer", "after", "BatchWriteItem calls"]
    rows = [
        [f"{rate:,}", str(status), f"{after:.1f} s", str(calls)] for rate, (status, after, calls) in throttled.items()
    ]
    return Table(title, columns, rows)


def _spread(calls: Sequence[Invocation]) -> str:
    """Return the shortest and the longest wall time of calls."""
    return " to ".join(f"{choose(call.seconds for call in calls) * 1000:.0f} ms" for choose in (min, max))


def _timed(functions: Functions, size: int, rounds: int) -> tuple[float, float]:
    body = job_body(urls(_BASE, size))
    return _medians([functions.submit(body) for _ in range(rounds)])


def _medians(calls: Sequence[Invocation]) -> tuple[float, float]:
    """Return the medians of wall time and CPU time, in seconds."""
    return statistics.median(call.seconds for call in calls), statistics.median(call.cpu_seconds for call in calls)


def _throttled(aws: AwsStandIn, functions: Functions, body: str, rate: int) -> tuple[int, float, int]:
    """Submit to a throttled table. Return the status code, the seconds and the number of batches."""
    aws.reset()
    aws.throttle(rate)
    call = functions.submit(body)
    aws.throttle(None)
    return call.answer["statusCode"], call.seconds, aws.counts().dynamodb["BatchWriteItem", "CHUNK"].calls


def _body_of(size: int) -> str:
    """Return a body of about that many bytes."""
    bytes_per_image = len(job_body(urls(_BASE, 4000))) / 4000
    return job_body(urls(_BASE, int(size / bytes_per_image)))


def largest_job() -> int:
    """Return how many images in visits of 4, with URLs of 70 bytes, fit into one call of Lambda."""
    images = 40_000
    body = json.dumps(job_body(urls(_BASE, images)))
    return int(images / len(body) * (_EVENT_BYTES - _EVENT_OVERHEAD_BYTES)) // 4 * 4
