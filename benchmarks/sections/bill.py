"""The bill: the cost of a million images, computed from the counted calls of a run through the deployed handlers."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.harness.processes import made_in_new_process
from benchmarks.harness.report import Figure, Plot, Section, Settings, Table
from benchmarks.world.aws_stand_in.server import AwsStandIn, CallCounts
from benchmarks.world.functions import Functions, Invocation, job_body
from benchmarks.world.prices import AS_OF, REGION, cost
from benchmarks.world.served_images import served_images, urls
from benchmarks.world.usage import (
    MEGABYTES_PER_PROCESSOR,
    MEMORY,
    Usage,
    gigabyte_seconds,
    other_charges,
    request_charges,
)
from local.emulator.template import ALARM
from local.lambda_host.environment import template

IMAGE_BYTES = 100_000
DOWNLOAD_SECONDS = 0.1
# USD by job size.
_BOUNDS = {1000: 0.36, 100: 0.50, 3: 5.00}
# How often a client polls its job until it has ended.
_POLLS = 5
_MEMORIES = (256, 384, 512, 768, 1024, 1769, 3008)
_MONTH_HOURS = 730
# An idle queue has five pollers. Each of their requests waits 20 s for a message.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
_IDLE_REQUESTS_PER_HOUR = 5 * 3600 / 20
# One log line, and Lambda's own lines.
_SWEEP_LOG_BYTES = 1500


@dataclass(frozen=True, slots=True)
class JobsRun:
    """Jobs of one size, with their usage, their calls and their invocations."""

    usage: Usage
    counts: CallCounts
    invocations: Sequence[Invocation]

    def of(self, function: str) -> list[Invocation]:
        """Return the invocations of a function."""
        return [each for each in self.invocations if each.function == function]


def measure(settings: Settings) -> Section:
    """Measure the bill of a million images."""
    jobs = {3: (3, 10), 100: (3, 10), 1000: (2, 20)} | ({} if settings.quick else {10_000: (1, 1)})
    with served_images(IMAGE_BYTES, DOWNLOAD_SECONDS) as base:
        runs = {size: run_jobs(base, size, count[not settings.quick]) for size, count in jobs.items()}
        batches = {} if settings.quick else {size: run_jobs(base, 1000, 1, size) for size in (5, 2, 1)}
    main = runs[1000]
    units = main.usage.write_units / main.usage.images
    return Section(
        "What a million images cost",
        _text(main),
        details=_lambda_time(main),
        figures=[
            *(
                Figure(
                    f"request charges of a million clean images, jobs of {size:,}",
                    sum(request_charges(runs[size].usage).values()),
                    bound,
                    "USD",
                )
                for size, bound in _BOUNDS.items()
            ),
            Figure("write units per image in a clean run, jobs of 1,000", units, 0.52),
        ],
        tables=[
            _by_job_size(runs),
            _counted(main),
            *([_by_batch({10: main} | batches)] if batches else []),
            _at_rest(),
        ],
        plots=[_by_memory(main)],
    )


def _of_lambda(charges: Mapping[str, float]) -> float:
    return charges["Lambda, time"] + charges["Lambda, requests"]


def run_jobs(base: str, size: int, jobs: int, batch: int | None = None) -> JobsRun:
    """Run jobs of one size, one after the other, from submission to end. Limit SQS batches to `batch` messages."""
    invocations: list[Invocation] = []
    with made_in_new_process(AwsStandIn) as aws, made_in_new_process(Functions, aws.url()) as functions:
        # Warm up: a worker lives for hours, and only its first call opens connections and starts threads.
        _job(aws, functions, urls(base, min(size, 100)), batch)
        before = aws.counts().stored
        aws.reset()
        for _ in range(jobs):
            invocations += _job(aws, functions, urls(base, size), batch)
        counts = aws.counts()
    stored = {
        kind: (count - before.get(kind, (0, 0))[0], taken - before.get(kind, (0, 0))[1])
        for kind, (count, taken) in counts.stored.items()
    }
    counts = replace(counts, stored=stored)
    return JobsRun(Usage.of(size * jobs, counts, invocations), counts, invocations)


def _job(aws: AwsStandIn, functions: Functions, images: Sequence[str], batch: int | None) -> list[Invocation]:
    """Submit a job, process it and poll its status, as its client, API Gateway and the queue's poller do."""
    done = [functions.authorize(), functions.submit(job_body(images))]
    job_id = done[-1].body["job_id"]
    done.append(functions.status(job_id))
    done += functions.process(aws.messages(), batch)
    done += [functions.status(job_id) for _ in range(_POLLS - 1)]
    if done[-1].body["status"] != "completed":
        raise RuntimeError(f"a job of good images ended as {done[-1].body}")
    return done


def _text(run: JobsRun) -> str:
    return (
        f"{run.usage.images:,} images in jobs of 1,000 went through the deployed handlers of authorize, submit, "
        "process and status. A stand-in for DynamoDB and SQS answered each call after 5 ms, and counted calls and "
        "capacity units by the published rules. There are 4 images per visit, with URLs of 70 bytes. An image of "
        f"{IMAGE_BYTES / 1000:.0f} KB takes {DOWNLOAD_SECONDS * 1000:.0f} ms over a kept connection, after the "
        f"configured delay. The client polls its job {_POLLS} times, and the authorizer is called once per job. The "
        "queue's poller receives up to ten messages per call and deletes them with one call. Prices are list prices of "
        f"{REGION} ({AS_OF}, benchmarks/world/prices.json) without free tiers. "
        "Every request to the queue is priced as one to a fair queue."
    )


def _lambda_time(run: JobsRun) -> str:
    invocations = run.of("process")
    cpu = sum(each.cpu_seconds for each in invocations)
    full = [each for each in invocations if each.messages == max(each.messages for each in invocations)]
    memory = MEMORY["process"]
    full_seconds = statistics.median(each.seconds for each in full)
    full_cpu = statistics.median(each.cpu_seconds for each in full)
    share = memory / MEGABYTES_PER_PROCESSOR
    return (
        f"Lambda's time: a full batch took {full_seconds:.2f} s here, including {full_cpu:.2f} s of CPU time "
        f"({cpu / run.usage.images * 1000:.2f} ms per image over all batches). {memory} MB get {share:.2f} of a "
        f"processor, so the bill is for the wall time plus {1 / share - 1:.2f} times the CPU time. This is an "
        "upper bound: it assumes that nothing else happens while the function waits for its share. It also assumes "
        "that Lambda's processor is as fast as this machine's, and leaves out cold starts.\n\n"
        "Lambda's own poller may bring fewer messages at a time: a full run has a table of batch sizes."
    )


def _usd(value: float) -> str:
    return f"{value:.4f}"


def _by_job_size(runs: Mapping[int, JobsRun]) -> Table:
    charges = {size: request_charges(run.usage) for size, run in runs.items()}
    others = {size: other_charges(run.usage) for size, run in runs.items()}
    rows = [[name, *(_usd(each[name]) for each in charges.values())] for name in charges[1000]]
    rows.append(["**request charges**", *(f"**{sum(each.values()):.4f}**" for each in charges.values())])
    rows += [[name, *(_usd(each[name]) for each in others.values())] for name in others[1000]]
    units = [run.usage.write_units / run.usage.images for run in runs.values()]
    rows.append(["write units per image", *(f"{each:.3f}" for each in units)])
    rows.append(["images counted", *(f"{run.usage.images:,}" for run in runs.values())])
    return Table("USD per million clean images, by job size", ["", *(f"jobs of {size:,}" for size in runs)], rows)


def _counted(run: JobsRun) -> Table:
    """Return the counted calls of the main run, and their cost."""
    rows = []

    def add(what: str, calls: int, usd: float, items: str = "", units: tuple[str, str] = ("", "")) -> None:
        rows.append([what, f"{calls:,}", items, *units, _usd(usd * 10**6 / run.usage.images)])

    for (call, kind), counts in sorted(run.counts.dynamodb.items()):
        write = counts.write_units + counts.index_write_units
        usd = cost("dynamodb_write_unit", write) + cost("dynamodb_read_unit", counts.read_units)
        add(f"{call}, {kind}", counts.calls, usd, f"{counts.items:,}", (f"{write:,}", f"{counts.read_units:,}"))
    for call, queue in sorted(run.counts.sqs.items()):
        add(call, queue.calls, cost("sqs_fair_request", queue.requests), f"{queue.messages:,}")
    for function in ("authorize", "submit", "process", "status"):
        calls = run.of(function)
        time = gigabyte_seconds(calls, MEMORY[function])
        usd = cost("lambda_arm_gb_second", time) + cost("lambda_request", len(calls))
        add(f"{function}, {MEMORY[function]} MB: {time:,.2f} GB-s", len(calls), usd)
    add("API Gateway", run.usage.api_requests, cost("api_request", run.usage.api_units))
    return Table(
        f"Counted for {run.usage.images:,} images in jobs of 1,000",
        ["call and item", "calls", "items, messages", "write units", "read units", "USD per million images"],
        rows,
        detail=True,
    )


def _by_batch(runs: Mapping[int, JobsRun]) -> Table:
    rows = []
    for messages, run in runs.items():
        charges = request_charges(run.usage)
        usd = sum(charges.values()), _of_lambda(charges), charges["SQS"]
        rows.append([str(messages), *map(_usd, usd)])
    return Table(
        "USD per million clean images in jobs of 1,000, by the maximum number of messages per batch",
        ["messages", "request charges", "Lambda's part", "SQS's part"],
        rows,
        detail=True,
    )


def _at_rest() -> Table:
    """Return the cost of a month without any jobs, with the template's defaults and no free tier."""
    requests = _IDLE_REQUESTS_PER_HOUR * _MONTH_HOURS
    sweeps = 12 * _MONTH_HOURS
    memory = MEMORY["reprocess"] / 1024
    alarms, watched = _alarms()
    # Its queries: an eventually consistent read of each of eight index shards, which finds nothing.
    lines = {
        f"SQS: the pollers' {requests:,.0f} requests": cost("sqs_request", requests),
        f"reprocess: {sweeps:,} invocations of 0.1 s": cost("lambda_request", sweeps)
        + cost("lambda_arm_gb_second", sweeps * 0.1 * memory),
        "its schedule": cost("scheduler_invocation", sweeps),
        "its queries": cost("dynamodb_read_unit", sweeps * 8 * 0.5),
        "its log": cost("logs_gb", sweeps * _SWEEP_LOG_BYTES / 10**9),
        f"alarms: {alarms} on {watched} metrics, and a composite one": cost("alarm_month", watched)
        + cost("composite_alarm_month", 1),
    }
    rows = [[name, f"{usd:.2f}"] for name, usd in lines.items()]
    rows.append(["**total**", f"**{sum(lines.values()):.2f}**"])
    # Counts of zero are not sent, so an idle stage has no metrics of its own.
    rows.append(["once there are jobs: per metric that is sent in every hour", f"{cost('metric_month', 1):.2f}"])
    return Table("USD for an idle month", ["", "USD"], rows, detail=True)


def _alarms() -> tuple[int, int]:
    """Return how many alarms on metrics the template has, and how many metrics they watch, which are what costs."""
    alarms = template().resources(ALARM).values()
    watched = [sum("MetricStat" in each for each in alarm.get("Metrics", [{"MetricStat": {}}])) for alarm in alarms]
    return len(watched), sum(watched)


def _by_memory(run: JobsRun) -> Plot:
    """Plot the cost of the process function's time by its memory."""
    calls = run.of("process")
    points = [
        (float(memory), cost("lambda_arm_gb_second", gigabyte_seconds(calls, memory)) * 10**6 / run.usage.images)
        for memory in _MEMORIES
    ]
    return Plot(
        "bill-by-memory", "Cost of the process function's time", "memory, MB", "USD per million images",
        {"upper bound": points}, log_x=True,
    )  # fmt: skip
