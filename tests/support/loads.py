"""Loads on the embedded stack: tests/stack asserts their outcomes, benchmarks/stack prints their figures."""

import statistics
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from local.client import ApiClient, submission
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.stack.process import StackProcess
from tests.support.memory import peak_of
from tests.support.ports import reserved_port
from tests.support.waiting import END_SECONDS

STORES = ("S00339218", "S01408764")
IMAGE_BYTES = 100_000
OUTAGE_IMAGES = 10
# Waits double, and each is random between 0 and its bound, so the last one may be several times the outage.
_OUTAGE_END_SECONDS = 900.0
_FORMATS = (Format.JPEG, Format.JPEG, Format.JPEG, Format.PNG, Format.WEBP, Format.GIF)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One ended job: its status, the number of URLs in its results, the URLs with a wrong result, and its time."""

    status: str
    images: int
    wrong: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Burst:
    """Many submissions at once: the number of responses by status code and of jobs by final status, and peak memory."""

    codes: Counter[int]
    statuses: Counter[str]
    accepted_seconds: float
    seconds: float
    peak_bytes: int
    peak_processes: int


@dataclass(frozen=True, slots=True)
class LargeJob:
    """A job of very many images: its acceptance, and the time of its status and of that of a job of two, in turns."""

    code: int
    accepted_seconds: float
    large_status_seconds: float
    small_status_seconds: float
    large_status: str


@dataclass(frozen=True, slots=True)
class Outage:
    """The effect of an outage.

    Attributes
    ----------
    statuses
        The final statuses of the jobs.
    up_requests, down_requests
        Number of requests per image, for the server that was up and the one that came back.
    ended_after
        Seconds from the server's return until each job had ended for its client, in ascending order.
    """

    statuses: Counter[str]
    up_requests: list[int]
    down_requests: list[int]
    ended_after: list[float]


def add_images(server: ImageServer, count: int, size: int = IMAGE_BYTES) -> dict[str, int]:
    """Serve images of at least that many bytes, each with its own dimensions; return the perimeters by URL."""
    perimeters = {}
    for number in range(count):
        kind = _FORMATS[number % len(_FORMATS)]
        width, height = 200 + number, 150 + number % 7
        content = make_image(kind, width, height, bytes_at_least=size, seed=number)
        perimeters[server.add(f"/{number}.{kind.lower()}", content)] = 2 * (width + height)
    return perimeters


def run_job(client: ApiClient, perimeters: Mapping[str, int], images_per_visit: int = 4) -> Outcome:
    """Submit every image once and compare the results with the perimeters."""
    urls = list(perimeters)
    parts = [urls[start : start + images_per_visit] for start in range(0, len(urls), images_per_visit)]
    begin = time.monotonic()
    job = client.submit(*((STORES[number % 2], part) for number, part in enumerate(parts)))
    status = client.wait(job, END_SECONDS)["status"]
    seconds = time.monotonic() - begin
    rows = list(client.results(job))
    wrong = [row["url"] for row in rows if row["perimeter"] != perimeters[row["url"]] or row["outcome"] != "measured"]
    return Outcome(status, len({row["url"] for row in rows}), wrong, seconds)


def run_burst(stack: StackProcess, urls: list[str], count: int) -> Burst:
    """Submit many jobs of the same images at once, and wait until all have ended."""
    together = threading.Barrier(count)

    def submit(client: ApiClient) -> tuple[int, int | None]:
        together.wait()
        answer = client.post("/api/submit", submission((STORES[0], urls)))
        return answer.status_code, answer.json().get("job_id")

    with (
        peak_of(stack.pid) as peak,
        ApiClient(stack.url, stack.api_key, connections=count) as client,
        ThreadPoolExecutor(count) as pool,
    ):
        begin = time.monotonic()
        answers = list(pool.map(submit, [client] * count))
        accepted = time.monotonic() - begin
        statuses = [client.wait(job, END_SECONDS)["status"] for _, job in answers if job is not None]
        seconds = time.monotonic() - begin
    codes = Counter(code for code, _ in answers)
    return Burst(codes, Counter(statuses), accepted, seconds, peak.memory, peak.processes)


def submit_large_job(client: ApiClient, url: str, count: int, polls: int = 20) -> LargeJob:
    """Submit a job of very many images; poll its status in turns with that of a job of two."""
    body = submission(*((STORES[0], [f"{url}?{visit}.{image}" for image in range(4)]) for visit in range(count // 4)))
    begin = time.monotonic()
    answer = client.post("/api/submit", body)
    accepted = time.monotonic() - begin
    large = answer.json()["job_id"]
    small = client.submit((STORES[0], [f"{url}?1", f"{url}?2"]))
    times: dict[int, list[float]] = {large: [], small: []}
    status = ""
    for _ in range(polls):
        for job in (large, small):
            begin = time.monotonic()
            response = client.get("/api/status", jobid=job)
            times[job].append(time.monotonic() - begin)
            status = response.json()["status"] if job == large else status
    medians = {job: statistics.median(values) for job, values in times.items()}
    return LargeJob(answer.status_code, accepted, medians[large], medians[small], status)


def run_outage(stack: StackProcess, seconds: float, jobs: int) -> Outage:
    """Submit jobs, keep a server down for some seconds, and wait until the jobs end."""
    picture = make_image(Format.JPEG, 120, 90)
    paths = [f"/{job}/{image}.jpg" for job in range(jobs) for image in range(OUTAGE_IMAGES)]
    with reserved_port() as port, ImageServer() as up, ApiClient(stack.url, stack.api_key) as client:
        for path in paths:
            up.add(path, picture)
        ids = []
        for job in range(jobs):
            own = [path for path in paths if path.startswith(f"/{job}/")]
            ids.append(client.submit((STORES[0], [*map(up.url, own), *(f"http://127.0.0.1:{port}{p}" for p in own)])))
        time.sleep(seconds)
        back = ImageServer(port=port)
        for path in paths:
            back.add(path, picture)
        with back:
            returned = time.monotonic()

            def wait(job_id: int) -> tuple[str, float]:
                return client.wait(job_id, _OUTAGE_END_SECONDS)["status"], time.monotonic() - returned

            with ThreadPoolExecutor(len(ids)) as threads:
                statuses, ended_after = zip(*threads.map(wait, ids), strict=True)
            down_requests = [len(back.requests_of(path)) for path in paths]
        up_requests = [len(up.requests_of(path)) for path in paths]
        return Outage(Counter(statuses), up_requests, down_requests, sorted(ended_after))
