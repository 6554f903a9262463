"""Measures the worker loop: wall time and CPU time of 1,000 images, and how both scale."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.harness.processes import made_in_new_process
from benchmarks.harness.profiling import NO_PROFILE, profile, sampled
from benchmarks.harness.report import Figure, Plot, Section, Settings, Table
from benchmarks.world.aws_stand_in.server import AwsStandIn
from benchmarks.world.clients import AT_ONCE
from benchmarks.world.download_path import DownloadPath
from benchmarks.world.functions import Functions, Invocation, job_body
from benchmarks.world.internet import HOSTS, Line, internet
from benchmarks.world.naive import Naive
from benchmarks.world.prices import cost
from benchmarks.world.served_images import pictures, served_images, urls
from benchmarks.world.usage import MEGABYTES_PER_PROCESSOR, MEMORY, billed_seconds
from local.lambda_host.environment import template

_IMAGES = 1000
_IMAGE_BYTES = 100_000
_DOWNLOAD_SECONDS = 0.1
_NO_DELAY = {"DelayMinSeconds": "0", "DelayMaxSeconds": "0"}
_PROFILE_SECONDS = 10
_MEMORY = MEMORY["process"]
# Invocations of the process function.
_Job = Sequence[Invocation]
# Ten chunks of 50.
_BATCH_IMAGES = 500
# 20 Mbit/s.
_LINE_BYTES_PER_SECOND = 2_500_000


@dataclass(frozen=True, slots=True)
class _Turn:
    """A job, and the processor time of the download path and the naive loop for the same images."""

    job: _Job
    download_path: float
    naive: float


def measure(settings: Settings) -> Section:
    """Measure the worker loop."""
    with served_images(_IMAGE_BYTES, _DOWNLOAD_SECONDS) as base:
        turns = _in_turns(base, 2 if settings.quick else 7)
    jobs = [turn.job for turn in turns]
    afar = _from_afar(jobs, settings)
    shares, peak = _profile(settings)
    threads = int(template().parameters["ProcessThreads"])
    ideal = (_delay_seconds() + _DOWNLOAD_SECONDS) * _IMAGES / threads
    cpu = statistics.median(map(_cpu, jobs))
    details = _why(threads, cpu / _IMAGES, peak)
    return Section(
        "The worker loop",
        _how(threads),
        figures=[
            Figure(
                f"wall time of {_IMAGES:,} images with their delays in one worker of {threads} threads, against "
                "(mean delay + download) * 1000 / 100",
                statistics.median(map(_seconds, jobs)) / ideal, 0.75,
            ),
            Figure("CPU time per image of the whole worker loop, storage included, against the download path",
                   cpu / statistics.median(turn.download_path for turn in turns), 1.5),
            Figure("CPU time per image of the whole worker loop, against the naive loop",
                   cpu / statistics.median(turn.naive for turn in turns), 0.15),
        ],
        tables=[_next_to_others(turns), afar, *([shares] if shares else [])],
        # The curves take some minutes.
        plots=[] if settings.quick else _curves(),
        details=details if shares else f"{details}\n\n{NO_PROFILE}",
    )  # fmt: skip


def _in_turns(base: str, rounds: int) -> list[_Turn]:
    """Measure the same images by the worker, by the download path only and by the naive loop."""
    with ExitStack() as stack:
        aws, others = (stack.enter_context(made_in_new_process(AwsStandIn)) for _ in range(2))
        functions = stack.enter_context(made_in_new_process(Functions, aws.url()))
        path = stack.enter_context(made_in_new_process(DownloadPath))
        naive = stack.enter_context(made_in_new_process(Naive, others.url()))

        def turn(images: Sequence[str]) -> _Turn:
            job = _process(aws, functions, job_body(images))
            return _Turn(job, path.measure(images).cpu_seconds, naive.process(images))

        turn(urls(base, 2 * AT_ONCE))
        return [turn(urls(base, _IMAGES)) for _ in range(rounds)]


def _next_to_others(turns: Sequence[_Turn]) -> Table:
    cpu = {
        "whole worker loop": statistics.median(_cpu(turn.job) for turn in turns),
        "download path": statistics.median(turn.download_path for turn in turns),
        "naive loop": statistics.median(turn.naive for turn in turns),
    }
    rows = [[name, f"{1000 * seconds / _IMAGES:.2f} ms", f"{_IMAGES / seconds:,.0f}"] for name, seconds in cpu.items()]
    return Table("CPU time per image, in turns", ["", "per image", "images per vCPU-second"], rows)


def _delay_seconds() -> float:
    found = template().parameters
    return (float(found["DelayMinSeconds"]) + float(found["DelayMaxSeconds"])) / 2


def _how(threads: int) -> str:
    return (
        f"Jobs of {_IMAGES:,} images of {_IMAGE_BYTES / 1000:.0f} KB (JPEG, PNG, WebP) come from a server on this "
        f"machine that answers after {_DOWNLOAD_SECONDS * 1000:.0f} ms, over kept connections without TLS. The delays "
        f"are the configured ones (their mean is {_delay_seconds():g} s). The deployed handler runs warm, with "
        f"{threads} threads, in its own process; storage is the stand-in for AWS. The "
        "download path is the same fetcher and number of threads, without delays and storage. The naive loop calls "
        f"`requests.get`, opens the image with Pillow and writes an item per image with boto3, {AT_ONCE} at once. The "
        "three take turns, each in its own process."
    )


def _why(threads: int, cpu_seconds: float, peak: int) -> str:
    share, batch = _MEMORY / MEGABYTES_PER_PROCESSOR, cpu_seconds * _BATCH_IMAGES
    return (
        "Times are those of the handler's calls, added up over the SQS batches of a job. CPU time includes all threads "
        "and the kernel's part. Points of the plots are the better of two jobs; by job size, there is one.\n\n"
        f"**Why these values.** A batch of {_BATCH_IMAGES} images takes {batch:.2f} s of CPU time here. "
        f"{_MEMORY} MB get {share:.2f} of a processor, so the same work takes {batch / share:.1f} s on Lambda. In "
        f"addition, {threads} threads wait {_BATCH_IMAGES / threads * _DOWNLOAD_SECONDS:.1f} s for the batch's "
        "downloads. The plot by threads has what Lambda bills for that, as an upper bound: fewer threads wait longer, "
        "and more threads get in each other's way. If servers take a second instead of a tenth, most of the time is "
        "waiting, and half as many threads would cost twice as much. Delays hold no thread, so a job takes less time "
        "than with threads that sleep through the delays of their images.\n\n"
        "Large chunks are cheaper in every respect, because one call of the SDK takes about a millisecond. A chunk has "
        "at most 50 images, because the expression that saves it has no room for more. The batch is the largest that "
        "SQS delivers without waiting for more messages. Less memory is cheaper, as the bill shows, and slower. The "
        f"process, which also ran submit and status, had at most {peak / 1e6:.0f} MB here. {_MEMORY} MB leave room "
        "for formats of which a reader keeps more."
    )


def _curves() -> list[Plot]:
    """Return plots of the worker's time by what can be configured, and by what clients send."""
    with served_images(_IMAGE_BYTES, _DOWNLOAD_SECONDS) as base:
        by_threads = {count: _jobs(base, _IMAGES, 2, ProcessThreads=str(count)) for count in (25, 50, 100, 200, 400)}
        by_chunk = {images: _jobs(base, _IMAGES, 2, ChunkImages=str(images)) for images in (10, 25, 50)}
    by_size = {}
    for size in (5000, 100_000, 1_000_000):
        with served_images(size, _DOWNLOAD_SECONDS) as base:
            by_size[size] = _jobs(base, _IMAGES, 2)
    with served_images(5000, 0) as base:
        by_job = {size: _jobs(base, size, 1, **_NO_DELAY) for size in (100, 1000, 10_000, 60_000)}
    threads = {
        "wall time": _curve(by_threads, _seconds),
        "CPU time": _curve(by_threads, _cpu),
        f"billed at {_MEMORY} MB, at most": _curve(by_threads, _billed),
    }
    of_jobs = [(float(size), 1000 * _cpu(jobs[0]) / size) for size, jobs in by_job.items()]
    what, unit, loop = "CPU time per image, by ", "ms per image", "worker loop"
    return [
        Plot("worker-threads", "A job of 1,000 images, by threads", "threads", "seconds", threads, log_x=True),
        Plot("worker-image-size", f"{what}image size", "bytes", unit, {loop: _per_image(by_size)}, log_x=True),
        Plot("worker-chunk-size", f"{what}chunk size", "images", unit, {loop: _per_image(by_chunk)}),
        Plot("worker-job-size", f"{what}job size (images of 5 KB)", "images", unit, {loop: of_jobs}, log_x=True),
    ]


def _from_afar(near: Sequence[_Job], settings: Settings) -> Table:
    """Compare the same job from servers like those of the internet with one from a server without TLS."""
    line = Line(_DOWNLOAD_SECONDS, _LINE_BYTES_PER_SECOND)
    with internet(pictures(_IMAGE_BYTES), line) as bases:
        far = _jobs(bases, _IMAGES, 2 if settings.quick else 5)

    def row(name: str, jobs: Sequence[_Job]) -> list[str]:
        billed = statistics.median(map(_billed, jobs)) * _MEMORY / 1024 * 10**6 / _IMAGES
        return [
            name,
            f"{statistics.median(map(_seconds, jobs)):.2f} s",
            f"{statistics.median(map(_cpu, jobs)) / _IMAGES * 1000:.2f} ms",
            f"{cost('lambda_arm_gb_second', billed):.4f}",
        ]

    bandwidth = f"{_LINE_BYTES_PER_SECOND / 1e6:g} MB/s per connection"
    return Table(
        f"A job of {_IMAGES:,} images, by where they come from",
        ["from", "wall time", "CPU time per image", "USD per million images for process's time, at most"],
        [
            row("one server without TLS, any bandwidth", near),
            row(f"{len(HOSTS)} hosts over TLS 1.3, {bandwidth}, connections kept", far),
        ],
    )


def _jobs(base: str | Sequence[str], images: int, rounds: int, **parameters: str) -> Sequence[_Job]:
    """Run jobs after a warm-up, and return the process function's invocations of each."""
    body = job_body(urls(base, images))
    with made_in_new_process(AwsStandIn) as aws, made_in_new_process(Functions, aws.url(), **parameters) as functions:
        _process(aws, functions, job_body(urls(base, min(images, 200))))
        return [_process(aws, functions, body) for _ in range(rounds)]


def _process(aws: AwsStandIn, functions: Functions, body: str) -> list[Invocation]:
    job_id = functions.submit(body).body["job_id"]
    invocations = functions.process(aws.messages())
    status = functions.status(job_id).body["status"]
    if status != "completed":
        raise RuntimeError(f"a job of good images ended as {status}")
    return invocations


def _cpu(job: _Job) -> float:
    return sum(each.cpu_seconds for each in job)


def _seconds(job: _Job) -> float:
    return sum(each.seconds for each in job)


def _billed(job: _Job) -> float:
    return sum(billed_seconds(each, _MEMORY) for each in job)


def _curve(jobs: Mapping[int, Sequence[_Job]], of: Callable[[_Job], float]) -> list[tuple[float, float]]:
    """Return the lowest value of each setting's jobs: the one that the machine disturbed least."""
    return [(float(value), min(of(job) for job in several)) for value, several in jobs.items()]


def _per_image(jobs: Mapping[int, Sequence[_Job]]) -> list[tuple[float, float]]:
    return [(value, 1000 * seconds / _IMAGES) for value, seconds in _curve(jobs, _cpu)]


def _profile(settings: Settings) -> tuple[Table | None, int]:
    """Return where CPU time goes, None if py-spy is not allowed to read the process, and the peak of memory."""
    with (
        served_images(_IMAGE_BYTES, 0.02) as base,
        made_in_new_process(AwsStandIn) as aws,
        made_in_new_process(Functions, aws.url(), **_NO_DELAY) as functions,
    ):
        body = job_body(urls(base, _IMAGES))
        _process(aws, functions, body)

        def run() -> None:
            for _ in range(3 if settings.quick else 8):
                _process(aws, functions, body)

        samples = sampled(functions.pid(), run, _PROFILE_SECONDS if not settings.quick else 5)
        peak = functions.peak_bytes()
    return profile("the worker", samples) if samples else None, peak
