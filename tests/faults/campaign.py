"""A run: jobs go through the real functions while everything around them fails; then all must be well."""

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

from local.images.server import ImageServer
from local.stack.process import StackProcess
from retail_pulse.storage.store_master import StoreMaster
from tests.faults import worker
from tests.faults.checker import Contents, History, Truth, check
from tests.faults.injection import Death, Journal
from tests.faults.plan import BAD, HEIGHT_ABOVE_WIDTH, Plan, Served, draw
from tests.faults.steps import MOMENTS, STEPS
from tests.faults.worker import Call, Orders

# The queue hides a message for longer than an invocation lasts, and a job stalls later than that, as deployed.
_VISIBILITY_SECONDS = 3
_STALL_SECONDS = 4
# After so long there are no more faults: what was accepted has to end by itself.
_FAULT_SECONDS = 18.0
_REST_SECONDS = 120.0
_LOOK_SECONDS = 0.4
_END_SECONDS = 30.0
# Of the recorded event.
_CLIENT = "me"
_WORKERS = {"submit": "submit"} | {f"process-{n}": "process" for n in (1, 2, 3)}
_WORKERS |= {f"reprocess-{n}": "reprocess" for n in (1, 2)}
# A worker that has not come to its death in this time dies wherever it is; the next one is sent to another.
_LIFE_SECONDS = 6.0

# The functions of the stack itself stay out of it: every run has a table and a queue of its own.
STACK_PARAMETERS = {"ReprocessSchedule": "rate(365 days)"}
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true", "POWERTOOLS_METRICS_NAMESPACE": "RetailPulse",
    "POWERTOOLS_SERVICE_NAME": "faults", "POWERTOOLS_LOG_LEVEL": "INFO",
    "MAX_BODY_BYTES": "6000000", "MAX_JOB_VISITS": "1000", "MAX_JOB_IMAGES": "1000",
    "CHUNK_IMAGES": "3", "CHUNK_BYTES": "100000", "JOB_RETENTION_DAYS": "90",
    "STALL_SECONDS": str(_STALL_SECONDS), "AUTOMATIC_RUNS": "1",
    "DELAY_MIN_SECONDS": "0", "DELAY_MAX_SECONDS": "0.02", "THREADS": "20",
    "CONNECT_TIMEOUT_SECONDS": "1", "READ_TIMEOUT_SECONDS": "0.4", "IMAGE_DEADLINE_SECONDS": "0.6",
    "MAX_IMAGE_BYTES": "1000000", "MAX_IMAGE_SIDE": "10000", "MAX_REDIRECTS": "3", "ALLOWED_NETWORKS": "127.0.0.0/8",
    "ALLOWED_PORTS": "1-65535", "ALLOWED_HOSTS": "",
    "IMAGE_TRIES": "4", "IMAGE_RETRY_SECONDS": "15", "FIRST_WAIT_SECONDS": "0.1", "LONGEST_WAIT_SECONDS": "1",
    "INLINE_WAIT_SECONDS": "0.15",
}  # fmt: skip


@dataclass(slots=True)
class Result:
    """What a run came to."""

    seed: int
    jobs: int = 0
    images: int = 0
    orphans: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    deaths: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Campaign:
    """Runs on one embedded stack, each with a table and a queue of its own.

    Parameters
    ----------
    stack
        A running stack; only its DynamoDB and SQS are used.
    folder
        For journals and logs.
    """

    def __init__(self, stack: StackProcess, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        # Forks of a process that has everything imported: a new worker costs milliseconds, not a second.
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["tests.faults.preload"])
        # Over all runs: which deaths there were, so that the rarer ones get their turn.
        self._deaths: Counter[tuple[str, str, str]] = Counter()

    def run(self, seed: int, jobs: int, *, every_death: bool = False, strength: float = 1.0) -> Result:
        """Do a run and check it.

        Parameters
        ----------
        seed
            Of everything that is drawn by lot. The processes run side by side as they like, so that a seed repeats what
            goes wrong, and not in which order the processes meet it.
        jobs
            How many jobs are submitted.
        every_death
            Go on until a worker has died at each step of process and reprocess in turn.
        strength
            Factor on the rates of all faults but deaths.
        """
        started = time.monotonic()
        with ImageServer() as server, self._resources(seed) as (table, queue_url):
            run = _Run(self, server, table, queue_url, seed, draw(seed, jobs, server), strength)
            run.go(every_death=every_death)
            result = run.result()
        result.seconds = time.monotonic() - started
        self._deaths += result.deaths
        return result

    @contextmanager
    def _resources(self, seed: int) -> Iterator[tuple[str, str]]:
        dynamodb, sqs = self._stack.client("dynamodb"), self._stack.client("sqs")
        deployed = dynamodb.describe_table(TableName=self._stack.table_name)["Table"]
        table = f"faults-{seed}"
        indexes = [
            {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
            for index in deployed["GlobalSecondaryIndexes"]
        ]
        dynamodb.create_table(
            TableName=table,
            KeySchema=deployed["KeySchema"],
            AttributeDefinitions=deployed["AttributeDefinitions"],
            GlobalSecondaryIndexes=indexes,
            BillingMode="PAY_PER_REQUEST",
        )
        queue_url = sqs.create_queue(QueueName=table, Attributes={"VisibilityTimeout": str(_VISIBILITY_SECONDS)})[
            "QueueUrl"
        ]
        yield table, queue_url
        sqs.delete_queue(QueueUrl=queue_url)
        dynamodb.delete_table(TableName=table)

    def orders(self, **fields: Any) -> Orders:
        """Make a worker's orders, with what all have in common."""
        environment = _ENVIRONMENT | fields.pop("environment") | {"AWS_ENDPOINT_URL": self._stack.endpoint_url}
        return Orders(environment=environment, **fields)

    def start(self, orders: Orders) -> BaseProcess:
        """Start a worker."""
        process = self._processes.Process(target=worker.main, args=(orders,), daemon=True)
        process.start()
        return process

    def draw_death(self, role: str, seen: Mapping[tuple[str, str, str], int], dice: random.Random) -> Death:
        """Draw a death of a role, the rarer the likelier, so that no step is left out."""
        targets = [(step, moment) for step in STEPS[role] for moment in MOMENTS]
        counts = [self._deaths[(role, *target)] + seen[(role, *target)] for target in targets]
        (target,) = dice.choices(targets, [1 / (1 + count) ** 3 for count in counts])
        return Death(*target, occasion=dice.randint(1, 2) if min(counts) else 1)

    @property
    def folder(self) -> Path:
        """For journals and logs."""
        return self._folder


class _Run:
    def __init__(
        self,
        campaign: Campaign,
        server: ImageServer,
        table: str,
        queue_url: str,
        seed: int,
        plan: Plan,
        strength: float,
    ) -> None:
        self._campaign = campaign
        self._server = server
        self._table = table
        self._queue_url = queue_url
        self._seed = seed
        self._plan = plan
        self._strength = strength
        folder = Path(tempfile.mkdtemp(prefix=f"run-{seed}-", dir=campaign.folder))
        self._journal_path, self._log = folder / "journal", folder / "log"
        self._stop = folder / "stop"
        self._journal = Journal(self._journal_path)
        self._history = History()
        self._broken: list[str] = []
        self._dice = random.Random(seed * 7919)
        self._workers: dict[str, BaseProcess] = {}
        self._born: dict[str, float] = {}
        self._calls = list(plan.calls)
        self._retried: set[int] = set()
        self._started = 0
        self._dynamodb = campaign._stack.client("dynamodb")

    def go(self, *, every_death: bool) -> None:
        """Go through the time of faults, and through the time after it."""
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
                if every_death and all(not job.open for job in contents.jobs.values()):
                    # Nobody dies of nothing: there have to be chunks to be processed.
                    self._retried.clear()
                self._retry_some(contents)
            elif self._is_at_rest(contents) or now > _FAULT_SECONDS + _REST_SECONDS:
                break
            time.sleep(_LOOK_SECONDS)
        self._end_workers()

    def _keep_going(self, *, faulty: bool) -> None:
        """Start the workers that are not there, each with a death of its own while there are faults."""
        for name, role in _WORKERS.items():
            process = self._workers.get(name)
            if process is not None and process.is_alive():
                if faulty and time.monotonic() - self._born[name] > _LIFE_SECONDS:
                    self._journal.write(role=role, death="anywhere", moment="", holds=[])
                    process.kill()
                else:
                    continue
            if process is not None:
                self._take_leave(name, process)
            calls = self._open_calls() if role == "submit" else []
            if role == "submit" and not calls:
                self._workers.pop(name, None)
                continue
            death = self._death(role) if faulty else None
            self._started += 1
            self._born[name] = time.monotonic()
            self._workers[name] = self._campaign.start(
                self._campaign.orders(
                    role=role,
                    seed=self._seed * 1000 + self._started,
                    environment={"TABLE_NAME": self._table, "QUEUE_URL": self._queue_url},
                    queue_url=self._queue_url,
                    journal=self._journal_path,
                    log=self._log,
                    stop=self._stop,
                    strength=self._strength if faulty else 0.0,
                    death=death,
                    calls=calls,
                )
            )

    def _take_leave(self, name: str, process: BaseProcess) -> None:
        """See how a worker has ended: in order, or by the death that was planned; anything else is a bug."""
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            self._broken.append(f"{name} ended with {process.exitcode}; see {self._log}")

    def _death(self, role: str) -> Death:
        return self._campaign.draw_death(role, _deaths(self._journal.read()), self._dice)

    def _deaths_left(self) -> bool:
        seen = _deaths(self._journal.read())
        return any(not seen[("process", step, moment)] for step in STEPS["process"] for moment in MOMENTS)

    def _open_calls(self) -> list[Call]:
        """Return the calls that have no final answer: they are made again, as a client does after a 5xx or none."""
        answered = {line["answered"] for line in self._journal.read() if "answered" in line and line["status"] < 500}
        return [call for call in self._calls if call.number not in answered]

    def _retry_some(self, contents: Contents) -> None:
        """Have the client retry some jobs that have ended with failures."""
        for job in contents.jobs.values():
            if not job.open and job.failed and job.job_id not in self._retried and self._dice.random() < 0.3:
                self._retried.add(job.job_id)
                self._calls.append(Call(len(self._calls), f"/api/jobs/{job.job_id}/retry"))

    def _is_at_rest(self, contents: Contents) -> bool:
        return not self._open_calls() and all(not job.open and job.due is None for job in contents.jobs.values())

    def _end_workers(self) -> None:
        self._stop.touch()
        for name, process in self._workers.items():
            process.join(_END_SECONDS)
            if process.is_alive():
                self._broken.append(f"{name} did not end; see {self._log}")
                process.kill()
            self._take_leave(name, process)
        self._workers.clear()
        self._stop.unlink()

    def _contents(self) -> Contents:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        return Contents.of(item for page in pages for item in page["Items"])

    def result(self) -> Result:
        """Check the table and count what went wrong on the way."""
        lines = self._journal.read()
        contents = self._contents()
        held: Counter[str] = Counter()
        for line in lines:
            if "death" in line:
                held.update(line["holds"])
        requests = Counter(request.path for request in self._server.requests)
        truth = {self._server.url(path): self._truth(path, requests[path]) for path in self._plan.scripts}
        result = Result(self._seed, jobs=len(contents.jobs), images=sum(job.images for job in contents.jobs.values()))
        accepted = [(_CLIENT, line["body"]["job_id"]) for line in lines if line.get("status") == 201]
        result.violations = [
            *check(contents, truth, StoreMaster.load().__contains__, held, accepted),
            *self._history.violations,
            *self._broken,
            *(
                f"call {line['answered']} was answered {line}"
                for line in lines
                if line.get("status", 0) in (400, 404, 500)
            ),
        ]
        nonces = {job.nonce for job in contents.jobs.values()}
        result.orphans = sum(key.nonce not in nonces for key in contents.chunks)
        result.faults = Counter(line["fault"] for line in lines if "fault" in line)
        for path, script in self._plan.scripts.items():
            for served in _served(script, requests[path]):
                if served.kind in BAD:
                    result.faults[served.kind] += 1
        result.deaths = _deaths(lines)
        result.runs = Counter(job.run for job in contents.jobs.values())
        return result

    def _truth(self, path: str, requests: int) -> Truth:
        served = _served(self._plan.scripts[path], requests)
        return Truth(
            measured=frozenset(
                (each.width, each.width + HEIGHT_ABOVE_WIDTH) for each in served if each.width is not None
            ),
            failures=frozenset(each.code for each in served if each.code is not None),
            requests=requests,
        )


def _served(script: Sequence[Served], requests: int) -> list[Served]:
    """Return what a path has answered to so many requests; the last answer stays."""
    return [script[min(number, len(script) - 1)] for number in range(requests)]


def _deaths(lines: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, str, str]]:
    return Counter((line["role"], line["death"], line["moment"]) for line in lines if "death" in line)


def runs(seeds: Sequence[int], jobs: int) -> list[Result]:
    """Do runs one after the other on one stack, and print a line for each."""
    results = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, StackProcess(parameters=STACK_PARAMETERS) as stack:
        campaign = Campaign(stack, Path(folder))
        for seed in seeds:
            result = campaign.run(seed, jobs)
            results.append(result)
            print(
                f"seed {seed}: {result.jobs} jobs, {result.images} images, {result.faults.total()} faults, "
                f"{result.deaths.total()} deaths, {len(result.violations)} violations ({result.seconds:.0f} s)",
                flush=True,
            )
            for violation in result.violations:
                print(f"  {violation}", flush=True)
    return results
