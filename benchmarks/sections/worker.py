"""The worker loop: how long 1,000 images take, what they cost a processor, and how that scales."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.harness.profiling import NO_PROFILE, profile, sampled
from benchmarks.harness.report import Figure, Plot, Section, Settings, Table
from benchmarks.world.aws_stand_in.process import AwsStandIn
from benchmarks.world.functions import FUNCTIONS, Functions, Invocation, job_body
from benchmarks.world.internet import HOSTS, Line, internet
from benchmarks.world.prices import Prices
from benchmarks.world.served_images import pictures, served_images, urls
from benchmarks.world.usage import MEGABYTES_PER_PROCESSOR, billed_seconds
from local.emulator.template import Template

_STORES = ("S01592176", "S01244300", "S00339218", "S01408764")
_IMAGES = 1000
_IMAGE_BYTES = 100_000
_DOWNLOAD_SECONDS = 0.1
_NO_DELAY = {"DelayMinSeconds": "0", "DelayMaxSeconds": "0"}
_PROFILE_SECONDS = 10
# Ten chunks of 50.
_BATCH_IMAGES = 500
# What a line of 20 Mbit/s brings.
_LINE_BYTES_A_SECOND = 2_500_000


def measure(settings: Settings) -> Section:
    """Measure the worker loop."""
    with served_images(_IMAGE_BYTES, _DOWNLOAD_SECONDS) as base:
        jobs = _jobs(base, _IMAGES, 3 if settings.quick else 7)
    afar = _from_afar(jobs, settings)
    shares, peak = _profile(settings)
    threads = int(Template().parameters["ProcessThreads"])
    ideal = (_delay_seconds() + _DOWNLOAD_SECONDS) * _IMAGES / threads
    cpu = statistics.median(map(_cpu, jobs))
    text = f"{_how(threads)}\n\n{_why(threads, cpu / _IMAGES, peak)}"
    return Section(
        "The worker loop",
        text if shares else f"{text}\n\n{NO_PROFILE}",
        figures=[
            Figure(
                f"wall time of {_IMAGES:,} images with their delays in one worker of {threads} threads, against "
                "(mean delay + download) * 1000 / 100",
                statistics.median(map(_seconds, jobs)) / ideal, 1.25,
            ),
            Figure("images per vCPU-second of the whole worker loop, 100 KB each, storage included",
                   _IMAGES / cpu, 1000, at_least=True, at_pace=_IMAGES / cpu / settings.pace),
        ],
        tables=[afar, *([shares] if shares else [])],
        # The curves take some minutes.
        plots=[] if settings.quick else _curves(),
    )  # fmt: skip


def _delay_seconds() -> float:
    found = Template().parameters
    return (float(found["DelayMinSeconds"]) + float(found["DelayMaxSeconds"])) / 2


def _memory() -> int:
    return Template().memory_megabytes(FUNCTIONS["process"])


def _how(threads: int) -> str:
    return (
        f"Jobs of {_IMAGES:,} images of {_IMAGE_BYTES / 1000:.0f} KB (JPEG, PNG, WebP) from a server on this machine "
        f"that answers after {_DOWNLOAD_SECONDS * 1000:.0f} ms, over kept connections without TLS, with the delays as "
        f"configured (their mean is {_delay_seconds():g} s), through the deployed handler with {threads} threads, "
        "warm, in a process of its own; storage is the stand-in for AWS. Wall and processor time are those of the "
        "handler's calls, the SQS batches of one job added up; processor time counts every thread of the process, and "
        "the system's part of it. Points of the plots are the best of two jobs: the ones the machine disturbed least."
    )


def _why(threads: int, cpu_seconds: float, peak: int) -> str:
    share, batch = _memory() / MEGABYTES_PER_PROCESSOR, cpu_seconds * _BATCH_IMAGES
    return (
        f"Why these values. A batch of {_BATCH_IMAGES} images takes {batch:.2f} s of a processor here. "
        f"{_memory()} MB are {share:.2f} of one, so that it takes {batch / share:.1f} s there; beside it, "
        f"{threads} threads wait {_BATCH_IMAGES / threads * _DOWNLOAD_SECONDS:.1f} s for its downloads. "
        "What Lambda bills for that is in the "
        "plot by threads, as an upper bound: fewer threads wait longer, more of them get into each other's way. Where "
        "servers take a second instead of a tenth, waiting is the most of it, and half as many threads would cost "
        "twice as much. Delays hold no thread, so a job is faster than the bound, which has every thread sleep through "
        "its image's delay. Large chunks are cheaper in every respect, since a call of the SDK costs about a "
        "millisecond: 50 images are what the saving expression has room for. The batch is the largest that SQS gives "
        "without waiting for more messages. Less memory is cheaper, as the bill shows, and slower; the process had "
        f"{peak / 1e6:.0f} MB at most here, submit and status in it, and {_memory()} MB leave room for formats of "
        "which more is kept."
    )


def _curves() -> list[Plot]:
    """Return how the worker's time depends on what can be chosen, and on what clients send."""
    with served_images(_IMAGE_BYTES, _DOWNLOAD_SECONDS) as base:
        by_threads = {
            count: _jobs(base, _IMAGES, 2, {"ProcessThreads": str(count)}) for count in (25, 50, 100, 200, 400)
        }
        by_chunk = {images: _jobs(base, _IMAGES, 2, {"ChunkImages": str(images)}) for images in (10, 25, 50)}
    by_size = {}
    for size in (5000, 100_000, 1_000_000):
        with served_images(size, _DOWNLOAD_SECONDS) as base:
            by_size[size] = _jobs(base, _IMAGES, 2)
    with served_images(5000, 0) as base:
        by_job = {size: _jobs(base, size, 1, _NO_DELAY) for size in (100, 1000, 10_000, 60_000)}
    threads = {
        "wall time": _curve(by_threads, _seconds),
        "processor time": _curve(by_threads, _cpu),
        f"billed at {_memory()} MB, at most": _curve(by_threads, _billed),
    }
    of_jobs = [(float(size), 1000 * _cpu(jobs[0]) / size) for size, jobs in by_job.items()]
    what, unit = "Processor time of an image, by ", "ms an image"
    return [
        Plot("worker-threads", "A job of 1,000 images, by threads", "threads", "seconds", threads, log_x=True),
        Plot("worker-image-size", f"{what}its size", "bytes", unit, {"the loop": _per_image(by_size)}, log_x=True),
        Plot("worker-chunk-size", f"{what}the chunk's size", "images", unit, {"the loop": _per_image(by_chunk)}),
        Plot("worker-job-size", f"{what}the job's size (5 KB)", "images", unit, {"the loop": of_jobs}, log_x=True),
    ]


def _from_afar(near: Sequence[Sequence[Invocation]], settings: Settings) -> Table:
    """Return what the same job takes from servers as those of the internet, beside the ones without TLS."""
    line = Line(_DOWNLOAD_SECONDS, _LINE_BYTES_A_SECOND)
    with internet(pictures(_IMAGE_BYTES), line) as bases:
        far = _jobs(bases, _IMAGES, 2 if settings.quick else 5)
    prices = Prices.load()

    def row(name: str, jobs: Sequence[Sequence[Invocation]]) -> list[str]:
        billed = statistics.median(map(_billed, jobs)) * _memory() / 1024 * 10**6 / _IMAGES
        return [
            name,
            f"{statistics.median(map(_seconds, jobs)):.2f} s",
            f"{statistics.median(map(_cpu, jobs)) / _IMAGES * 1000:.2f} ms",
            f"{prices.cost('lambda_arm_gb_second', billed):.4f}",
        ]

    return Table(
        f"A job of {_IMAGES:,} images by where they come from",
        ["from", "wall time", "processor time an image", "USD of process's time a million images, at most"],
        [
            row("one server without TLS, any bandwidth", near),
            row(
                f"{len(HOSTS)} hosts over TLS 1.3, {_LINE_BYTES_A_SECOND / 1e6:g} MB/s a connection, connections kept",
                far,
            ),
        ],
    )


def _jobs(
    base: str | Sequence[str], images: int, rounds: int, parameters: Mapping[str, str] | None = None
) -> Sequence[Sequence[Invocation]]:
    """Return the process function's invocations of some jobs, after one that warms it up."""
    body = job_body(urls(base, images), _STORES)
    with AwsStandIn() as aws, Functions(aws.url, parameters) as functions:
        _process(aws, functions, job_body(urls(base, min(images, 200)), _STORES))
        return [_process(aws, functions, body) for _ in range(rounds)]


def _process(aws: AwsStandIn, functions: Functions, body: str) -> list[Invocation]:
    job_id = functions.submit(body).body["job_id"]
    invocations = functions.process(aws.messages())
    status = functions.status(job_id).body["status"]
    if status != "completed":
        raise RuntimeError(f"a clean job has ended as {status}")
    return invocations


def _cpu(job: Sequence[Invocation]) -> float:
    return sum(each.cpu_seconds for each in job)


def _seconds(job: Sequence[Invocation]) -> float:
    return sum(each.seconds for each in job)


def _billed(job: Sequence[Invocation]) -> float:
    return sum(billed_seconds(each, _memory()) for each in job)


def _curve(
    jobs: Mapping[int, Sequence[Sequence[Invocation]]], of: Callable[[Sequence[Invocation]], float]
) -> list[tuple[float, float]]:
    """Return the best job of each, by what was varied: the best is the one that the machine disturbed least."""
    return [(float(value), min(of(job) for job in several)) for value, several in jobs.items()]


def _per_image(jobs: Mapping[int, Sequence[Sequence[Invocation]]]) -> list[tuple[float, float]]:
    return [(value, 1000 * seconds / _IMAGES) for value, seconds in _curve(jobs, _cpu)]


def _profile(settings: Settings) -> tuple[Table | None, int]:
    """Return where the processor time of images goes, or None where py-spy may not look, and the peak of memory."""
    with (
        served_images(_IMAGE_BYTES, 0.02) as base,
        AwsStandIn() as aws,
        Functions(aws.url, _NO_DELAY) as functions,
    ):
        body = job_body(urls(base, _IMAGES), _STORES)
        _process(aws, functions, body)

        def run() -> None:
            for _ in range(3 if settings.quick else 8):
                _process(aws, functions, body)

        samples = sampled(functions.pid, run, _PROFILE_SECONDS if not settings.quick else 5)
        peak = functions.peak_bytes()
    return profile("the worker's", samples) if samples else None, peak
