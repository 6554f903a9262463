"""The worker loop: how long 1,000 images take, what they cost a processor, and how that scales."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.aws_stand_in.process import AwsStandIn
from benchmarks.deployment import template
from benchmarks.functions import Functions, Invocation, job_body
from benchmarks.profiling import sampled
from benchmarks.report import Figure, Plot, Section, Settings, Table
from benchmarks.served_images import served_images, urls

_STORES = ("S01592176", "S01244300", "S00339218", "S01408764")
_IMAGES = 1000
_IMAGE_BYTES = 100_000
_DOWNLOAD_SECONDS = 0.1
_NO_DELAY = {"DelayMinSeconds": "0", "DelayMaxSeconds": "0"}
_PROFILE_SECONDS = 10


def measure(settings: Settings) -> Section:
    """Measure the worker loop."""
    found = template().parameters
    threads = int(found["ProcessThreads"])
    delay = (float(found["DelayMinSeconds"]) + float(found["DelayMaxSeconds"])) / 2
    with served_images(_IMAGE_BYTES, _DOWNLOAD_SECONDS) as base:
        jobs = _jobs(base, _IMAGES, 3 if settings.quick else 7)
    profile, peak = _profile(settings)
    ideal = (delay + _DOWNLOAD_SECONDS) * _IMAGES / threads
    wall = statistics.median(sum(each.seconds for each in job) for job in jobs)
    cpu = statistics.median(_cpu(job) for job in jobs)
    return Section(
        "The worker loop",
        f"Jobs of {_IMAGES:,} images of {_IMAGE_BYTES / 1000:.0f} KB (JPEG, PNG, WebP) from a server on this machine "
        f"that answers after {_DOWNLOAD_SECONDS * 1000:.0f} ms, over kept connections without TLS, with the delays as "
        f"configured (their mean is {delay:g} s), through the deployed handler with {threads} threads, warm, in a "
        "process of its own; storage is the stand-in for AWS. Wall and processor time are those of the handler's "
        "calls, the SQS batches of one job added up; processor time counts every thread of the process, and the "
        "system's part of it. Points of the plots are the best of two jobs: the ones that the machine disturbed "
        "least.\n\n"
        "Why these values. Delays hold no thread, so a job is faster than the bound, which has every thread sleep "
        "through its image's delay. Threads cost little processor time, and more of them help as long as they wait: "
        f"with {threads} a batch of 500 images waits about as long for its downloads as the share of a processor that "
        f"{found['ProcessMemoryMegabytes']} MB buy works on it. Large chunks are cheaper in every respect, since a "
        "call of the SDK costs the better part of a millisecond: 50 images are what the saving expression has room "
        "for. The batch is the largest that SQS gives without waiting for more messages. Less memory is cheaper, as "
        f"the bill shows, and slower; the process had {peak / 1e6:.0f} MB at most here, submit and status in it, and "
        f"{found['ProcessMemoryMegabytes']} MB leave room for formats of which more is kept.",
        figures=[
            Figure(
                f"wall time of {_IMAGES:,} images with their delays in one worker of {threads} threads, against "
                "(mean delay + download) * 1000 / 100",
                wall / ideal, 1.25,
            ),
            Figure("images per vCPU-second of the whole worker loop, 100 KB each, storage included",
                   _IMAGES / cpu, 1000, at_least=True, at_pace=_IMAGES / cpu / settings.pace),
        ],
        tables=[] if profile is None else [profile],
        # The curves take some minutes.
        plots=[] if settings.quick else _curves(),
    )  # fmt: skip


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
    threads = {"wall time": _curve(by_threads, wall=True), "processor time": _curve(by_threads)}
    of_jobs = [(float(size), 1000 * _cpu(jobs[0]) / size) for size, jobs in by_job.items()]
    what, unit = "Processor time of an image, by ", "ms an image"
    return [
        Plot("worker-threads", "A job of 1,000 images, by threads", "threads", "seconds", threads, log_x=True),
        Plot("worker-image-size", f"{what}its size", "bytes", unit, {"the loop": _per_image(by_size)}, log_x=True),
        Plot("worker-chunk-size", f"{what}the chunk's size", "images", unit, {"the loop": _per_image(by_chunk)}),
        Plot("worker-job-size", f"{what}the job's size (5 KB)", "images", unit, {"the loop": of_jobs}, log_x=True),
    ]


def _jobs(
    base: str, images: int, rounds: int, parameters: Mapping[str, str] | None = None
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


def _curve(jobs: Mapping[int, Sequence[Sequence[Invocation]]], *, wall: bool = False) -> list[tuple[float, float]]:
    """Return the best job of each, by what was varied: the best is the one that the machine disturbed least."""
    seconds = {
        value: min(sum(each.seconds for each in job) if wall else _cpu(job) for job in several)
        for value, several in jobs.items()
    }
    return [(float(value), taken) for value, taken in seconds.items()]


def _per_image(jobs: Mapping[int, Sequence[Sequence[Invocation]]]) -> list[tuple[float, float]]:
    return [(value, 1000 * seconds / _IMAGES) for value, seconds in _curve(jobs)]


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
    if not samples:
        return None, peak
    total = samples.total()
    table = Table(
        f"Where the worker's processor time goes (py-spy, {total:,} samples of the interpreter, images of "
        f"{_IMAGE_BYTES / 1000:.0f} KB; the system's part of sending and receiving is not in it)",
        ["part", "share"],
        [[name, f"{number / total:.0%}"] for name, number in samples.most_common()],
    )
    return table, peak
