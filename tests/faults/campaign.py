"""A run: jobs go through the real functions while everything around them fails; then the table is checked."""

import multiprocessing
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from local.emulator.emulator import AWS_VARIABLES, credentials
from local.images.server import ImageServer
from local.lambda_host.environment import environment
from local.lambda_host.table import create_queue, create_table
from local.stack.process import StackProcess
from retail_pulse.storage.store_master import StoreMaster
from tests.faults import worker
from tests.faults.checker import Contents, History, Truth, check
from tests.faults.injection import Death, Journal
from tests.faults.plan import BAD, Plan, draw
from tests.faults.steps import MOMENTS, STEPS
from tests.faults.worker import Call, Orders

# As deployed: the queue hides a message for longer than an invocation lasts, and a job stalls later than that.
_VISIBILITY_SECONDS = 3
_STALL_SECONDS = 4
# There are no faults after this time: every accepted job must then end by itself.
_FAULT_SECONDS = 18.0
_REST_SECONDS = 120.0
_CHECK_SECONDS = 0.4
_END_SECONDS = 30.0
_WORKERS = {"submit": "submit"} | {f"process-{n}": "process" for n in (1, 2, 3)}
_WORKERS |= {f"reprocess-{n}": "reprocess" for n in (1, 2)}
# What the fork server imports once for all workers: what the functions import, but nothing that reads settings.
_PRELOADED = (
    "PIL.Image", "aws_lambda_powertools.event_handler", "aws_lambda_powertools.utilities", "boto3", "pydantic",
    "requests", "retail_pulse.api.submit_body", "retail_pulse.measuring.fetch", "retail_pulse.storage.jobs_table",
    "retail_pulse.storage.queue", "retail_pulse.use_cases.image_pool", "retail_pulse.use_cases.processing",
    "retail_pulse.use_cases.reprocessing", "retail_pulse.use_cases.submission", "tests.faults.worker",
)  # fmt: skip
# A worker that has not come to its death by then is killed wherever it is; the next one gets another death.
_LIFE_SECONDS = 6.0

# The stack's own functions stay idle: every run has its own table and queue.
STACK_PARAMETERS = {"ReprocessSchedule": "rate(365 days)"}
_PARAMETERS = {
    "ChunkImages": "3", "AutomaticRuns": "1", "ProcessThreads": "20",
    "DelayMinSeconds": "0", "DelayMaxSeconds": "0.02",
    "ConnectTimeoutSeconds": "1", "ReadTimeoutSeconds": "0.4", "ImageDeadlineSeconds": "0.6",
    "ImageTries": "4", "ImageRetrySeconds": "15", "FirstWaitSeconds": "0.1", "LongestWaitSeconds": "1",
    "InlineWaitSeconds": "0.15",
}  # fmt: skip

# Where a worker died: its role, the step and the moment.
Place = tuple[str, str, str]


@dataclass(slots=True)
class Result:
    """The result of a run."""

    seed: int
    jobs: int = 0
    images: int = 0
    orphans: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    deaths: Counter[Place] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Campaign:
    """Runs on one embedded stack, each with its own table and queue.

    Parameters
    ----------
    stack
        A running stack; only its DynamoDB and SQS are used.
    folder
        Folder for journals and logs.
    """

    def __init__(self, stack: StackProcess, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        # A fork of a process that has imported everything takes milliseconds, a new interpreter a second.
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload([*_PRELOADED])
        # Over all runs, so that rarer deaths get their turn.
        self._deaths: Counter[Place] = Counter()

    def run(self, seed: int, jobs: int, *, every_death: bool = False, strength: float = 1.0) -> Result:
        """Do a run and check it.

        Parameters
        ----------
        seed
            Seed of all random numbers. It repeats the faults, but not their order, since the processes run in parallel.
        jobs
            Number of submitted jobs.
        every_death
            Whether to go on until workers have died before and after every step of process.
        strength
            Factor on the rates of all faults except deaths.
        """
        started = time.monotonic()
        with ImageServer() as server, self._resources(seed) as (table, queue_url):
            run = _Run(self, server, table, queue_url, seed, strength, draw(seed, jobs, server))
            run.go(every_death=every_death)
            result = run.result()
        result.seconds = time.monotonic() - started
        self._deaths += result.deaths
        return result

    @contextmanager
    def _resources(self, seed: int) -> Iterator[tuple[str, str]]:
        dynamodb, sqs = self.stack.client("dynamodb"), self.stack.client("sqs")
        table = f"faults-{seed}"
        create_table(dynamodb, table)
        queue_url = create_queue(sqs, table, _VISIBILITY_SECONDS)
        yield table, queue_url
        sqs.delete_queue(QueueUrl=queue_url)
        dynamodb.delete_table(TableName=table)

    def draw_death(self, role: str, seen: Mapping[Place, int], dice: random.Random) -> Death:
        """Draw a death of a role; rarer ones are more likely, so that no step is left out."""
        targets = [(step, moment) for step in STEPS[role] for moment in MOMENTS]
        counts = [self._deaths[(role, *target)] + seen[(role, *target)] for target in targets]
        (target,) = dice.choices(targets, [1 / (1 + count) ** 3 for count in counts])
        return Death(*target, occasion=dice.randint(1, 2) if min(counts) else 1)


@dataclass
class _Run:
    campaign: Campaign
    server: ImageServer
    table: str
    queue_url: str
    seed: int
    strength: float
    plan: Plan

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"run-{self.seed}-", dir=self.campaign.folder))
        self._journal = Journal(self._folder / worker.JOURNAL)
        self._history = History()
        self._broken: list[str] = []
        self._dice = random.Random(self.seed * 7919)
        self._workers: dict[str, BaseProcess] = {}
        self._born: dict[str, float] = {}
        self._calls = list(self.plan.calls)
        self._retried: set[int] = set()
        self._started = 0
        self._dynamodb = self.campaign.stack.client("dynamodb")

    def go(self, *, every_death: bool) -> None:
        """Run through the time with faults, and through the time after it."""
        begun = time.monotonic()
        faulty = True
        while True:
            now = time.monotonic() - begun
            if faulty and now > _FAULT_SECONDS and not (every_death and self._deaths_left() and now < _REST_SECONDS):
                faulty = False
                self._end_workers()
            self._keep_going(faulty=faulty)
            contents = self._contents()
            self._history.saw_jobs(contents.jobs.values())
            self._history.saw_chunks(contents.chunks)
            if faulty:
                if every_death and not self._open_calls() and self._deaths_left():
                    # Workers only die while they process chunks, and only new jobs end by one update.
                    self._submit_again()
                self._retry_some(contents)
            elif self._is_at_rest(contents) or now > _FAULT_SECONDS + _REST_SECONDS:
                break
            time.sleep(_CHECK_SECONDS)
        self._end_workers()

    def _keep_going(self, *, faulty: bool) -> None:
        """Start missing workers; while there are faults, each gets its own death."""
        for name, role in _WORKERS.items():
            process = self._workers.get(name)
            if process is not None and process.is_alive():
                if faulty and time.monotonic() - self._born[name] > _LIFE_SECONDS:
                    self._journal.write(role=role, death="anywhere", moment="", holds=[])
                    process.kill()
                else:
                    continue
            if process is not None:
                self._check_exit(name, process)
            calls = self._open_calls() if role == "submit" else []
            if role == "submit" and not calls:
                self._workers.pop(name, None)
                continue
            self._workers[name] = self._start(role, calls, faulty=faulty)
            self._born[name] = time.monotonic()

    def _start(self, role: str, calls: Sequence[Call], *, faulty: bool) -> BaseProcess:
        self._started += 1
        variables = {
            **AWS_VARIABLES,
            **credentials(self.campaign.stack.secret),
            "AWS_ENDPOINT_URL": self.campaign.stack.endpoint_url,
            **environment(role, _PARAMETERS, JobsTable=self.table, ChunkQueue=self.queue_url),
            # No parameter: the template derives it from the timeout of the process function.
            "STALL_SECONDS": str(_STALL_SECONDS),
        }
        orders = Orders(
            role=role,
            seed=self.seed * 1000 + self._started,
            environment=variables,
            queue_url=self.queue_url,
            folder=self._folder,
            strength=self.strength if faulty else 0.0,
            death=self.campaign.draw_death(role, _deaths(self._journal.read()), self._dice) if faulty else None,
            calls=calls,
        )
        process = self.campaign.processes.Process(target=worker.main, args=(orders,), daemon=True)
        process.start()
        return process

    def _check_exit(self, name: str, process: BaseProcess) -> None:
        """Record a worker that ended neither properly nor by its death: that is a bug."""
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            self._broken.append(f"{name} ended with {process.exitcode}; see {self._folder}")

    def _deaths_left(self) -> bool:
        seen = _deaths(self._journal.read())
        return any(not seen[("process", step, moment)] for step in STEPS["process"] for moment in MOMENTS)

    def _open_calls(self) -> list[Call]:
        """Return the calls without a final answer: a client repeats a call after a 5xx or no answer."""
        answered = {line["answered"] for line in self._journal.read() if "answered" in line and line["status"] < 500}
        return [call for call in self._calls if call.number not in answered]

    def _retry_some(self, contents: Contents) -> None:
        """Add retries of some jobs that ended with failures."""
        for job in contents.jobs.values():
            if not job.open and job.failed and job.job_id not in self._retried and self._dice.random() < 0.3:
                self._retried.add(job.job_id)
                self._calls.append(Call(len(self._calls), f"/api/jobs/{job.job_id}/retry"))

    def _submit_again(self) -> None:
        """Add a new job of the images of an earlier one, most of which are served well by now."""
        call = self._dice.choice(self.plan.calls)
        self._calls.append(Call(len(self._calls), call.path, call.body))

    def _is_at_rest(self, contents: Contents) -> bool:
        return not self._open_calls() and all(not job.open and job.due is None for job in contents.jobs.values())

    def _end_workers(self) -> None:
        stop = self._folder / worker.STOP
        stop.touch()
        for name, process in self._workers.items():
            process.join(_END_SECONDS)
            if process.is_alive():
                self._broken.append(f"{name} did not end; see {self._folder}")
                process.kill()
            self._check_exit(name, process)
        self._workers.clear()
        stop.unlink()

    def _contents(self) -> Contents:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        return Contents.of(item for page in pages for item in page["Items"])

    def result(self) -> Result:
        """Check the table and count the faults."""
        lines = self._journal.read()
        contents = self._contents()
        held = Counter(chunk for line in lines if "death" in line for chunk in line["holds"])
        requests = Counter(request.path for request in self.server.requests)
        # The last response to a path repeats.
        served = {
            path: [script[min(number, len(script) - 1)] for number in range(requests[path])]
            for path, script in self.plan.scripts.items()
        }
        truth = {self.server.url(path): Truth.of([each.outcome for each in served[path]]) for path in served}
        # The client is that of the recorded events.
        accepted = [("me", line["body"]["job_id"]) for line in lines if line.get("status") == 201]
        nonces = {job.nonce for job in contents.jobs.values()}
        bad = Counter(each.kind for script in served.values() for each in script if each.kind in BAD)
        refused = [line for line in lines if line.get("status", 0) in (400, 404, 500)]
        return Result(
            self.seed,
            jobs=len(contents.jobs),
            images=sum(job.images for job in contents.jobs.values()),
            orphans=sum(key.nonce not in nonces for key in contents.chunks),
            faults=Counter(line["fault"] for line in lines if "fault" in line) + bad,
            deaths=_deaths(lines),
            runs=Counter(job.run for job in contents.jobs.values()),
            violations=[
                *check(contents, truth, StoreMaster.load().__contains__, held, accepted),
                *self._history.violations,
                *self._broken,
                *(f"call {line['answered']} was answered {line}" for line in refused),
            ],
        )


def _deaths(lines: Sequence[Mapping[str, Any]]) -> Counter[Place]:
    return Counter((line["role"], line["death"], line["moment"]) for line in lines if "death" in line)


def runs(seeds: Sequence[int], jobs: int) -> list[Result]:
    """Do runs one after the other on one stack; print a line per run."""
    results = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, StackProcess(parameters=STACK_PARAMETERS) as stack:
        campaign = Campaign(stack, Path(folder))
        for seed in seeds:
            result = campaign.run(seed, jobs)
            results.append(result)
            counts = (
                f"{result.jobs} jobs, {result.images} images, {result.faults.total()} faults, "
                f"{result.deaths.total()} deaths, {len(result.violations)} violations ({result.seconds:.0f} s)"
            )
            print(f"seed {seed}: {counts}", *result.violations, sep="\n  ", flush=True)
    return results
