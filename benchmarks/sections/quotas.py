"""Compares AWS's quotas with the load of many images, computed from counted calls. Nothing runs on AWS."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.page import number
from benchmarks.harness.report import Section, Settings, Table
from benchmarks.sections.bill import DOWNLOAD_SECONDS, IMAGE_BYTES, JobsRun, run_jobs
from benchmarks.world.aws_stand_in.capacity import size
from benchmarks.world.functions import job_body
from benchmarks.world.served_images import served_images, urls
from benchmarks.world.usage import MEMORY, billed_seconds
from local.lambda_host.environment import template
from retail_pulse.domain.chunks import Scope
from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.storage.items import DUE_SHARDS, job_item

_DATA: Mapping[str, Any] = json.loads(Path(__file__).with_name("quotas.json").read_text(encoding="utf-8"))
DAY_SECONDS = 86_400
DAYS = (100_000_000, 10_000_000_000)
LARGE_JOB = 60_000
_JOB_IMAGES = 1000
_BATCH_CHUNKS = 10
# Submit must answer within this, before API Gateway gives up.
_SUBMIT_SECONDS = 25
_SCHEDULE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Counted:
    """The usage per image in jobs of 1,000.

    Parameters
    ----------
    write_units, read_units
        Units of the table and its indexes.
    row_write_units, by_client_write_units, by_due_write_units
        Write units of visit rows and of each index.
    chunk_write_units
        Write units that submit uses before it accepts the job.
    chunks, api_requests
        Their number.
    seconds, all_seconds
        Time of the process function and of all functions, with their memory. These are upper bounds, see the bill.
    """

    write_units: float
    read_units: float
    row_write_units: float
    by_client_write_units: float
    by_due_write_units: float
    chunk_write_units: float
    chunks: float
    api_requests: float
    seconds: float
    all_seconds: float

    @classmethod
    def of(cls, run: JobsRun) -> "Counted":
        """Return the usage of a run, divided by its images."""
        images = run.usage.images
        calls = run.counts.dynamodb
        chunks = calls["BatchWriteItem", "CHUNK"]
        seconds = {
            name: sum(billed_seconds(each, memory) for each in run.of(name)) / images for name, memory in MEMORY.items()
        }

        def of_index(name: str) -> float:
            return sum(each.units_of_index[name] for each in calls.values()) / images

        return cls(
            write_units=run.usage.write_units / images,
            read_units=run.usage.read_units / images,
            row_write_units=calls["BatchWriteItem", "CLIENT"].write_units / images,
            by_client_write_units=of_index("by_client"),
            by_due_write_units=of_index("by_due"),
            chunk_write_units=chunks.write_units / images,
            chunks=chunks.items / images,
            api_requests=run.usage.api_requests / images,
            seconds=seconds["process"],
            all_seconds=sum(seconds.values()),
        )

    def loads(self, images_per_second: float) -> dict[str, float]:
        """Return the load of a steady stream of images on each quota, by its name in quotas.json."""
        at_once = self.seconds * images_per_second
        return {
            "table_writes": self.write_units * images_per_second,
            "table_reads": self.read_units * images_per_second,
            "new_table_writes": self.write_units * images_per_second,
            "new_table_reads": self.read_units * images_per_second,
            "store_partition": self.row_write_units * images_per_second,
            "client_partition": self.by_client_write_units * images_per_second,
            "due_partition": self.by_due_write_units * images_per_second / DUE_SHARDS,
            "in_flight": at_once * _BATCH_CHUNKS,
            "mapping": at_once,
            "concurrency": self.all_seconds * images_per_second,
            "api": self.api_requests * images_per_second,
            "schedule": 1 / _SCHEDULE_SECONDS,
        }


def measure(settings: Settings) -> Section:
    """Count the calls of a run, and compare the quotas with the load that follows from them."""
    with served_images(IMAGE_BYTES, DOWNLOAD_SECONDS) as base:
        counted = Counted.of(run_jobs(base, _JOB_IMAGES, 2 if settings.quick else 5))
    loads = {images: counted.loads(images / DAY_SECONDS) for images in DAYS}
    return Section(
        "Quotas and load",
        _text(counted, loads),
        tables=[_quotas(loads), _settings(loads), _growth(loads), _large_job(counted)],
    )


def headroom(limit: float, load: float) -> str:
    """Return how many times a load fits into a limit. It is bold if it does not fit."""
    return f"{number(limit / load)}×" if limit >= load else f"**{number(limit / load)}×**"


def first_to_break(loads: Mapping[str, float]) -> list[str]:
    """Return the names of the quotas that a load exceeds, most exceeded first."""
    quotas = _DATA["quotas"]
    left = {name: quotas[name]["limit"] / load for name, load in loads.items()}
    return [quotas[name]["what"] for name in sorted(left, key=left.__getitem__) if left[name] < 1]


def _text(counted: Counted, loads: Mapping[int, Mapping[str, float]]) -> str:
    broken = [
        f"At {_words(images)} images per day "
        + (f"these quotas are exceeded: {'; '.join(names)}." if names else "no quota of AWS is exceeded.")
        for images, names in ((images, first_to_break(each)) for images, each in loads.items())
    ]
    return (
        f"In jobs of {_JOB_IMAGES:,} (4 images per visit, URLs of 70 bytes, a client that polls five times) an image "
        f"takes {number(counted.write_units)} write units ({number(counted.row_write_units)} of them for visit rows, "
        f"{number(counted.by_client_write_units + counted.by_due_write_units)} in indexes), "
        f"{number(counted.read_units)} read units, "
        f"{number(counted.chunks)} messages, {number(counted.api_requests)} requests and "
        f"{1000 * counted.seconds:.1f} ms of the process function. Loads are means over a day: a headroom of 9× is "
        f"enough for a peak of nine times the mean. Quotas are defaults as of {_DATA['as_of']}, from the pages that "
        "benchmarks/sections/quotas.json names.\n\n" + " ".join(broken)
    )


def _words(images: int) -> str:
    return f"{images // 10**9} billion" if images >= 10**9 else f"{images // 10**6} million"


def _quotas(loads: Mapping[int, Mapping[str, float]]) -> Table:
    rows = []
    for name, quota in _DATA["quotas"].items():
        row = [f"[{quota['what']}]({quota['source']})", f"{quota['limit']:,} {quota['unit']}", quota["adjustable"]]
        rows.append(row + _compared(quota["limit"], name, loads))
    columns = ["quota", "default", "can be raised", *_columns("load at", loads)]
    return Table("AWS's quotas", columns, rows)


def _settings(loads: Mapping[int, Mapping[str, float]]) -> Table:
    rows = []
    for parameter, name in (("ProcessConcurrency", "mapping"), ("ThrottleRate", "api")):
        default = float(template().parameters[parameter])
        rows.append([f"`{parameter}`", number(default), *_compared(default, name, loads)])
    columns = ["parameter", "default", *_columns("needed at", loads)]
    return Table("Limits that the template sets", columns, rows)


def _columns(what: str, loads: Iterable[int]) -> list[str]:
    return [column for images in loads for column in (f"{what} {_words(images)} per day", "headroom")]


def _compared(limit: float, name: str, loads: Mapping[int, Mapping[str, float]]) -> list[str]:
    return [cell for each in loads.values() for cell in (number(each[name]), headroom(limit, each[name]))]


def _growth(loads: Mapping[int, Mapping[str, float]]) -> Table:
    growth = _DATA["growth"]
    start = _DATA["quotas"]["new_table_writes"]["limit"]

    def seconds(each: Mapping[str, float]) -> list[float]:
        doublings = max(0, math.ceil(math.log2(each["table_writes"] / start)))
        pollers = max(0.0, each["mapping"] - 5) / growth["pollers"]["step"] * growth["pollers"]["seconds"]
        environments = each["concurrency"] / growth["lambda"]["step"] * growth["lambda"]["seconds"]
        return [environments, pollers, doublings * growth["table"]["seconds"]]

    rows = [
        [f"[{each['what']}]({each['source']})", *(_duration(seconds(load)[index]) for load in loads.values())]
        for index, each in enumerate(growth.values())
    ]
    columns = ["what grows", *(f"{_words(images)} per day" for images in loads)]
    return Table("Time to grow from nothing to that load", columns, rows)


def _duration(seconds: float) -> str:
    if seconds >= 120:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds:.0f} s" if seconds >= 1 or not seconds else "under 1 s"


def _large_job(counted: Counted) -> Table:
    limits = {name: quota["limit"] for name, quota in _DATA["quotas"].items()}
    new_table, partition, call = limits["new_table_writes"], limits["store_partition"], _DATA["call_bytes"]["limit"]
    chunks = math.ceil(counted.chunks * LARGE_JOB)
    body = len(json.dumps({"body": job_body(urls("https://images.example.com", LARGE_JOB))}))
    submit = counted.chunk_write_units * LARGE_JOB
    seconds = counted.seconds * LARGE_JOB
    functions = int(template().parameters["ProcessConcurrency"])
    # Per second, while that many functions run.
    writes, rows_written = (
        functions / counted.seconds * units for units in (counted.write_units, counted.row_write_units)
    )
    update = math.ceil(size(job_item(_ended_job(chunks))) / 1024)
    updates = update * math.ceil(chunks / _BATCH_CHUNKS)
    rows = [
        ["bytes of the call", number(body), f"{call:,}", headroom(call, body)],
        [f"submit's writes within {_SUBMIT_SECONDS} s, new table",
         f"{number(submit)} units, {number(submit / _SUBMIT_SECONDS)}/s",
         f"{new_table:,}/s", headroom(new_table * _SUBMIT_SECONDS, submit)],
        [f"its {chunks:,} chunks, {functions} functions at once", f"{number(seconds)} s of functions",
         f"{functions} at once", f"done in {_duration(seconds / functions)}"],
        ["writes meanwhile, new table", f"{number(writes)}/s", f"{new_table:,}/s", headroom(new_table, writes)],
        ["its visit rows, if all are of one store", f"{number(rows_written)}/s", f"{partition:,}/s",
         headroom(partition, rows_written)],
        [f"updates of the job's item, up to {update} units each", f"{updates:,} units", "1,000/s, one partition",
         f"done in {_duration(updates / partition)}"],
    ]  # fmt: skip
    return Table(f"One job of {LARGE_JOB:,} images", ["what", "load", "quota", "headroom"], rows)


def _ended_job(chunks: int) -> Job:
    """Return an ended job, whose item is largest then."""
    now = datetime.now(UTC)
    return Job(
        client="client", job_id=2**52, nonce="n" * 22, status=JobStatus.COMPLETED, open=False, run=1, scope=Scope.ALL,
        created_at=now, ended_at=now, visits=LARGE_JOB // 4, images=LARGE_JOB, chunks=chunks, due=None,
        expires_at=int(now.timestamp()), done=frozenset(range(chunks)),
    )  # fmt: skip
