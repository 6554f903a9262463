"""The table and the queue in memory, for tests of the use cases.

`tests/adapters/test_jobs_table.py` holds the table to what DynamoDB does.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from retail_pulse.chunks import Chunk, ChunkKey, Pointer
from retail_pulse.errors import JobIdTakenError, StorageUnavailableError
from retail_pulse.jobs import ChunkVerdict, Job, JobStatus, numbers
from retail_pulse.outcomes import Outcome
from retail_pulse.visits import VisitRow


class Killed(BaseException):
    """The worker's death; nothing in the code may catch it."""


class Faults:
    """Lets the n-th write fail: before it is done, or after it was done."""

    def __init__(self) -> None:
        self.writes = 0
        self.die_before: int | None = None
        self.die_after: int | None = None
        self.refuse: int | None = None

    def before(self) -> None:
        self.writes += 1
        if self.writes == self.die_before:
            raise Killed
        if self.writes == self.refuse:
            raise StorageUnavailableError("refused by the test")

    def after(self) -> None:
        if self.writes == self.die_after:
            raise Killed


class FakeTable:
    """Keeps what the real table keeps, with the same conditions."""

    def __init__(self) -> None:
        self.jobs: dict[tuple[str, int], Job] = {}
        self.stored: dict[ChunkKey, Chunk] = {}
        self.rows: dict[tuple[int, int, int], VisitRow] = {}
        self.faults = Faults()

    def put_chunks(self, nonce: str, chunks: Sequence[Chunk], job_expires_at: int) -> None:
        self.faults.before()
        for chunk in chunks:
            self.stored[ChunkKey(nonce, chunk.number)] = replace(chunk, job_expires_at=job_expires_at)
        self.faults.after()

    def put_job(self, job: Job) -> None:
        self.faults.before()
        if self.jobs.setdefault((job.client, job.job_id), job).nonce != job.nonce:
            raise JobIdTakenError("taken")
        self.faults.after()

    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]:
        return {key: self.stored[key] for key in keys if key in self.stored}

    def reopen_chunk(self, key: ChunkKey, chunk: Chunk, run: int, images: Collection[int]) -> Chunk | None:
        self.faults.before()
        now = self.stored.get(key)
        if now is None or now.run != chunk.run:
            return None
        outcomes = {index: outcome for index, outcome in now.outcomes.items() if index not in images}
        self.stored[key] = replace(now, run=run, outcomes=outcomes)
        self.faults.after()
        return self.stored[key]

    def save_chunk(self, key: ChunkKey, run: int, outcomes: Mapping[int, Outcome]) -> Chunk | None:
        self.faults.before()
        now = self.stored.get(key)
        if now is None or now.run != run:
            return None
        self.stored[key] = replace(now, outcomes={**outcomes, **now.outcomes})
        self.faults.after()
        return self.stored[key]

    def put_visit_rows(self, rows: Sequence[tuple[VisitRow, int]]) -> None:
        self.faults.before()
        for row, _ in rows:
            self.rows[row.job_id, row.visit, row.part] = row
        self.faults.after()

    def add_chunks(self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict]) -> Job | None:
        self.faults.before()
        job = self.jobs.get((client, job_id))
        if job is None or job.run != run:
            return None
        done, failed, soft = numbers(verdicts)
        self.jobs[client, job_id] = replace(job, done=job.done | done, failed=job.failed | failed, soft=job.soft | soft)
        self.faults.after()
        return self.jobs[client, job_id]

    def close_job(self, job: Job, status: JobStatus, ended_at: datetime) -> Job | None:
        self.faults.before()
        now = self.jobs.get((job.client, job.job_id))
        if now is None or now.run != job.run or not now.open:
            return None
        self.jobs[job.client, job.job_id] = replace(now, status=status, open=False, ended_at=ended_at, due=None)
        self.faults.after()
        return self.jobs[job.client, job.job_id]

    def job(self, client: str, job_id: int) -> Job | None:
        return self.jobs.get((client, job_id))


class FakeQueue:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[Pointer] = []
        self.refuses = False

    def send(self, pointers: Sequence[Pointer], delay_seconds: int = 0) -> None:
        if self.refuses:
            raise StorageUnavailableError("refused by the test")
        self.sent += pointers
