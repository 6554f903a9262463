"""What must hold of the whole table once everything has come to rest, whatever went wrong on the way."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from retail_pulse.domain.chunks import Chunk, ChunkKey, Image
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.visits import VisitRow
from retail_pulse.storage import items
from tests.fakes import FakeTable

# Deaths of the workers that held a chunk, from which on an image of it may be given up.
_DEATHS_TO_GIVE_UP = 3


@dataclass(slots=True)
class Contents:
    """The table, read whole: items by what they are."""

    jobs: dict[tuple[str, int], Job] = field(default_factory=dict)
    chunks: dict[ChunkKey, Chunk] = field(default_factory=dict)
    rows: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, found: Iterable[Mapping[str, Any]]) -> "Contents":
        """Sort items; one that is none of ours, or is not whole, is a violation: an update made a ghost."""
        contents = cls()
        for item in found:
            key = item["pk"]["S"], item["sk"]["S"]
            try:
                contents._add(item)
            except (KeyError, ValueError) as error:
                contents.violations.append(f"{key} is not whole: {error!r}")
            if "expires_at" not in item:
                contents.violations.append(f"{key} never expires")
        return contents

    @classmethod
    def of_fake(cls, table: FakeTable) -> "Contents":
        """Take the table in memory, with its rows as the items that they would be."""
        rows: dict[tuple[str, str], Mapping[str, Any]] = {}
        for row in table.rows.values():
            item = items.visit_row_item(row, 1)
            rows[item["pk"]["S"], item["sk"]["S"]] = item
        claims = {claim.idempotency_key: claim.job_id for claim in table.claims.values()}
        return cls(table.jobs, table.stored, rows, claims)

    def _add(self, item: Mapping[str, Any]) -> None:
        kind = item["pk"]["S"].partition("#")[0]
        if kind == "JOB":
            job = items.job_from(item)
            self.jobs[job.client, job.job_id] = job
        elif kind == "CHUNK":
            self.chunks[items.chunk_key_from(item)] = items.chunk_from(item)
        elif kind == "CLIENT":
            self.rows[item["pk"]["S"], item["sk"]["S"]] = item
        elif kind == "IDEMPOTENCY":
            self.claims[items.claim_from(item).idempotency_key] = items.claim_from(item).job_id
        else:
            raise ValueError(f"kind {kind}")


@dataclass(frozen=True, slots=True)
class Truth:
    """What may have become of an image, by the log of its server: sizes that it served, failures that it led to."""

    measured: frozenset[tuple[int, int]]
    failures: frozenset[FailureCode]
    requests: int

    @classmethod
    def of(cls, attempts: Sequence[Outcome]) -> "Truth":
        """Make it from what each request has come to."""
        return cls(
            frozenset((each.width, each.height) for each in attempts if isinstance(each, Measured)),
            frozenset(each.code for each in attempts if isinstance(each, Failure)),
            len(attempts),
        )

    def allows(self, outcome: Outcome) -> bool:
        """Tell whether an outcome is one that the server has led to."""
        if isinstance(outcome, Measured):
            return (outcome.width, outcome.height) in self.measured
        return outcome.code in self.failures


def check(
    contents: Contents,
    truth: Mapping[str, Truth],
    knows_store: Callable[[str], bool],
    deaths_of: Mapping[str, int],
    accepted: Iterable[tuple[str, int]],
) -> list[str]:
    """Check the table.

    Parameters
    ----------
    contents
        The table.
    truth
        By URL.
    knows_store
        Tells whether the store master has a store.
    deaths_of
        By chunk, as ``nonce#number``: how many workers died that held it.
    accepted
        Clients and ids of jobs that a client was told of.

    Returns
    -------
    list of str
        What does not hold; empty when all is well.
    """
    found = list(contents.violations)
    found += [f"job {key} was accepted and is not there" for key in accepted if key not in contents.jobs]
    expected_rows: dict[tuple[str, str], int] = {}
    for job in contents.jobs.values():
        found += [f"job {job.job_id}: {violation}" for violation in _check_job(job, contents, expected_rows)]
    for key, chunk in contents.chunks.items():
        found += [
            f"chunk {key}: {violation}"
            for violation in _check_outcomes(chunk, truth, knows_store, deaths_of.get(f"{key.nonce}#{key.number}", 0))
        ]
    found += _check_rows(contents, expected_rows)
    found += _check_claims(contents)
    return found


def _check_job(job: Job, contents: Contents, expected_rows: dict[tuple[str, str], int]) -> Iterable[str]:
    """One job: it has ended; its sets, its status and its counts are those of its chunks."""
    if job.open or job.status is JobStatus.ONGOING or job.ended_at is None:
        yield f"has not ended: {job.status}, open={job.open}, done {sorted(job.done)} of {job.chunks}"
    chunks = [contents.chunks.get(job.key_of(number)) for number in range(job.chunks)]
    whole = [chunk for chunk in chunks if chunk is not None]
    if len(whole) < job.chunks:
        yield f"has {len(whole)} of {job.chunks} chunks"
        return
    if job.done != frozenset(range(job.chunks)):
        yield f"done is {sorted(job.done)} of {job.chunks}"
    if job.failed != {chunk.number for chunk in whole if chunk.has_failed}:
        yield f"failed is {sorted(job.failed)}"
    if job.transient != {chunk.number for chunk in whole if chunk.has_transient_failure}:
        yield f"transient is {sorted(job.transient)}"
    if job.status is not (JobStatus.FAILED if any(chunk.has_failed for chunk in whole) else JobStatus.COMPLETED):
        yield f"status is {job.status}"
    if job.images != sum(chunk.size for chunk in whole):
        yield f"counts {job.images} images, its chunks {sum(chunk.size for chunk in whole)}"
    for chunk in whole:
        if chunk.run > job.run:
            yield f"chunk {chunk.number} is at run {chunk.run}, the job at {job.run}"
        if not chunk.is_done:
            yield f"chunk {chunk.number} has {len(chunk.outcomes)} outcomes of {chunk.size}"
        expected_rows.update(_rows_of(job, chunk))


def _rows_of(job: Job, chunk: Chunk) -> Iterable[tuple[tuple[str, str], int]]:
    """Work the rows of a chunk out, on another way than the service does: by key, what perimeter each says."""
    by_part: defaultdict[int, list[Outcome | None]] = defaultdict(list)
    for image in chunk.images():
        by_part[image.visit].append(chunk.outcomes.get(image.index))
    for part in chunk.parts:
        outcomes = by_part[part.visit]
        perimeters = [2 * (each.width + each.height) for each in outcomes if isinstance(each, Measured)]
        if len(perimeters) == len(outcomes):
            row = VisitRow(
                job.client, job.job_id, part.visit, part.part, part.parts, part.store_id, part.visit_time, 0, 0
            )
            key = items.visit_row_key(row)
            yield (key["pk"]["S"], key["sk"]["S"]), sum(perimeters)


def _check_outcomes(
    chunk: Chunk, truth: Mapping[str, Truth], knows_store: Callable[[str], bool], deaths: int
) -> Iterable[str]:
    """One chunk: the outcome of each image is one that its server has led to."""
    for image in chunk.images():
        outcome = chunk.outcomes.get(image.index)
        if outcome is None:
            continue  # of an orphan, or reported with its job
        if not _is_true(image, outcome, truth[image.url], knows_store, deaths):
            yield f"image {image.index} ({image.url}) is {outcome}; its server says {truth[image.url]}"


def _is_true(image: Image, outcome: Outcome, truth: Truth, knows_store: Callable[[str], bool], deaths: int) -> bool:
    if not knows_store(image.store_id):
        return isinstance(outcome, Failure) and outcome.code is FailureCode.UNKNOWN_STORE and truth.requests == 0
    if isinstance(outcome, Failure) and outcome.code is FailureCode.PROCESSING_ERROR:
        return deaths >= _DEATHS_TO_GIVE_UP
    return truth.allows(outcome)


def _check_rows(contents: Contents, expected: Mapping[tuple[str, str], int]) -> Iterable[str]:
    """The visit rows: one for each visit part whose images are all measured, and no other."""
    for key in expected.keys() - contents.rows.keys():
        yield f"row {key} is missing"
    for key in contents.rows.keys() - expected.keys():
        yield f"row {key} is of no wholly measured visit"
    for key in expected.keys() & contents.rows.keys():
        if int(contents.rows[key]["perimeter"]["N"]) != expected[key]:
            yield f"row {key} says {contents.rows[key]['perimeter']['N']}, its images {expected[key]}"


def _check_claims(contents: Contents) -> Iterable[str]:
    """The idempotency keys: at most one job each, and that one the claim names."""
    jobs = defaultdict(list)
    for job in contents.jobs.values():
        if job.idempotency_key is not None:
            jobs[job.idempotency_key].append(job.job_id)
    for key, ids in jobs.items():
        if ids != [contents.claims.get(key)]:
            yield f"idempotency key {key} has made jobs {ids}, its claim names {contents.claims.get(key)}"


class History:
    """How jobs were seen to go, look by look: within a run nothing moves back; what was measured stays."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], Job] = {}
        self._measured: dict[tuple[ChunkKey, int], Outcome] = {}
        self.violations: list[str] = []
        self.statuses: Counter[str] = Counter()

    def saw_jobs(self, jobs: Iterable[Job]) -> None:
        """Hold jobs against the last look."""
        for job in jobs:
            key = job.client, job.job_id
            before = self._last.get(key)
            self._last[key] = job
            if before is not None:
                self.violations += [f"job {job.job_id} went back: {what}" for what in _went_back(before, job)]

    def saw_chunks(self, chunks: Mapping[ChunkKey, Chunk]) -> None:
        """Hold measured images against the last look; no run may change one."""
        for key, chunk in chunks.items():
            measured = {i: outcome for i, outcome in chunk.outcomes.items() if isinstance(outcome, Measured)}
            for (seen_key, index), outcome in self._measured.items():
                if seen_key == key and measured.get(index) != outcome:
                    self.violations.append(f"chunk {key}: image {index} was {outcome}, is {chunk.outcomes.get(index)}")
            self._measured.update({(key, index): outcome for index, outcome in measured.items()})


def _went_back(before: Job, now: Job) -> Sequence[str]:
    if now.run < before.run:
        return [f"run {before.run} to {now.run}"]
    if now.run > before.run:
        return []
    back = []
    if not before.open and now.open:
        back.append("open again in the same run")
    if not before.open and now.status is not before.status:
        back.append(f"{before.status} to {now.status} after its end")
    for name in ("done", "failed", "transient"):
        if not getattr(before, name) <= getattr(now, name):
            back.append(f"{name} lost {sorted(getattr(before, name) - getattr(now, name))}")
    return back
