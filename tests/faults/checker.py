"""The invariants of the whole table once nothing moves any more, whatever went wrong on the way."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from retail_pulse.domain.chunks import Chunk, ChunkKey, Image
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.visits import VisitRow
from retail_pulse.storage import items, usage_items
from tests.support.fakes import FakeTable

# After this many deaths of workers that held a chunk, an image of it may be given up.
_DEATHS_TO_GIVE_UP = 3
ItemKey = tuple[str, str]


def _key_of(item: Mapping[str, Any]) -> ItemKey:
    return item["pk"]["S"], item["sk"]["S"]


@dataclass(slots=True)
class Contents:
    """The whole table: its items by kind."""

    jobs: dict[tuple[str, int], Job] = field(default_factory=dict)
    chunks: dict[ChunkKey, Chunk] = field(default_factory=dict)
    rows: dict[ItemKey, Mapping[str, Any]] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    # Images that were counted, by client.
    counted: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, found: Iterable[Mapping[str, Any]]) -> "Contents":
        """Sort items by kind; an unknown or incomplete one is a violation, since only a stray update can make it."""
        contents = cls()
        for item in found:
            key = _key_of(item)
            try:
                contents._add(item)
            except (KeyError, ValueError) as error:
                contents.violations.append(f"{key} is incomplete or unknown: {error!r}")
            if "expires_at" not in item:
                contents.violations.append(f"{key} never expires")
        return contents

    @classmethod
    def of_fake(cls, table: FakeTable) -> "Contents":
        """Read the table in memory; its rows become the items that DynamoDB would hold."""
        rows = {_key_of(item): item for item in (items.visit_row_item(row, 1) for row in table.rows.values())}
        claims = {claim.idempotency_key: claim.job_id for claim in table.claims.values()}
        counted = Counter[str]()
        for (client, _), used in table.used.items():
            counted[client] += used.images
        return cls(table.jobs, table.stored, rows, claims, counted)

    def _add(self, item: Mapping[str, Any]) -> None:
        kind = item["pk"]["S"].partition("#")[0]
        if kind == "JOB":
            job = items.job_from(item)
            self.jobs[job.client, job.job_id] = job
        elif kind == "CHUNK":
            self.chunks[items.chunk_key_from(item)] = items.chunk_from(item)
        elif kind == "CLIENT":
            self.rows[_key_of(item)] = item
        elif kind == "IDEMPOTENCY":
            claim = items.claim_from(item)
            self.claims[claim.idempotency_key] = claim.job_id
        elif kind == "USAGE":
            self.counted[item["pk"]["S"].partition("#")[2]] += usage_items.usage_from(item).images
        else:
            raise ValueError(f"unknown kind {kind}")


@dataclass(frozen=True, slots=True)
class Truth:
    """The outcomes that an image may have, by the log of its server: sizes that it served, failures that it caused."""

    measured: frozenset[tuple[int, int]]
    failures: frozenset[FailureCode]
    requests: int

    @classmethod
    def of(cls, attempts: Sequence[Outcome]) -> "Truth":
        """Build it from the outcome of each request."""
        return cls(
            frozenset((each.width, each.height) for each in attempts if isinstance(each, Measured)),
            frozenset(each.code for each in attempts if isinstance(each, Failure)),
            len(attempts),
        )

    def allows(self, outcome: Outcome) -> bool:
        """Return whether the server caused such an outcome."""
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
    """Check the table against what the image server did.

    Parameters
    ----------
    contents
        The table.
    truth
        The outcomes that each URL may have.
    knows_store
        Returns whether the store master contains a store.
    deaths_of
        How many workers died that held a chunk, by ``nonce#number``.
    accepted
        Client and ID of each job that was answered with 201.

    Returns
    -------
    list of str
        The violations; empty if all invariants hold.
    """
    found = list(contents.violations)
    found += [f"job {key} was accepted but is not in the table" for key in accepted if key not in contents.jobs]
    expected_rows: dict[ItemKey, int] = {}
    for job in contents.jobs.values():
        found += [f"job {job.job_id}: {violation}" for violation in _check_job(job, contents, expected_rows)]
    # While a host rests, its images fail by the error of another one.
    of_host = frozenset(code for each in truth.values() for code in each.failures)
    for key, chunk in contents.chunks.items():
        deaths = deaths_of.get(f"{key.nonce}#{key.number}", 0)
        found += [
            f"chunk {key}: {violation}" for violation in _check_outcomes(chunk, truth, of_host, knows_store, deaths)
        ]
    found += _check_rows(contents, expected_rows)
    found += _check_claims(contents)
    found += _check_counts(contents)
    return found


def _check_job(job: Job, contents: Contents, expected_rows: dict[ItemKey, int]) -> Iterable[str]:
    """Check that a job has ended, and that its sets, status and counts agree with its chunks."""
    if job.open or job.status is JobStatus.ONGOING or job.ended_at is None:
        yield f"has not ended: {job.status}, open={job.open}, done {sorted(job.done)} of {job.chunks}"
    chunks = [contents.chunks.get(job.key_of(number)) for number in range(job.chunks)]
    found = [chunk for chunk in chunks if chunk is not None]
    if len(found) < job.chunks:
        yield f"has {len(found)} of {job.chunks} chunks"
        return
    if job.done != frozenset(range(job.chunks)):
        yield f"done is {sorted(job.done)} of {job.chunks}"
    if job.failed != {chunk.number for chunk in found if chunk.has_failed}:
        yield f"failed is {sorted(job.failed)}"
    if job.transient != {chunk.number for chunk in found if chunk.has_transient_failure}:
        yield f"transient is {sorted(job.transient)}"
    if job.status is not (JobStatus.FAILED if any(chunk.has_failed for chunk in found) else JobStatus.COMPLETED):
        yield f"status is {job.status}"
    if job.images != sum(chunk.size for chunk in found):
        yield f"has {job.images} images, but its chunks have {sum(chunk.size for chunk in found)}"
    for chunk in found:
        if chunk.run > job.run:
            yield f"chunk {chunk.number} is at run {chunk.run}, but the job is at run {job.run}"
        if not chunk.is_done:
            yield f"chunk {chunk.number} has {len(chunk.outcomes)} outcomes of {chunk.size}"
        expected_rows.update(_rows_of(job, chunk))


def _rows_of(job: Job, chunk: Chunk) -> Iterable[tuple[ItemKey, int]]:
    """Compute the keys and perimeters of a chunk's visit rows, independently of the service's code."""
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
            yield _key_of(items.visit_row_key(row)), sum(perimeters)


def _check_outcomes(
    chunk: Chunk,
    truth: Mapping[str, Truth],
    of_host: frozenset[FailureCode],
    knows_store: Callable[[str], bool],
    deaths: int,
) -> Iterable[str]:
    """Check that the server caused the outcome of each image of a chunk."""
    for image in chunk.images():
        outcome = chunk.outcomes.get(image.index)
        if outcome is None:
            continue  # an orphaned chunk, or one that the check of its job reports
        if isinstance(outcome, Failure) and outcome.is_transient and outcome.code in of_host:
            continue
        if not _is_true(image, outcome, truth[image.url], knows_store, deaths):
            yield f"image {image.index} ({image.url}) is {outcome}; the server allows {truth[image.url]}"


def _is_true(image: Image, outcome: Outcome, truth: Truth, knows_store: Callable[[str], bool], deaths: int) -> bool:
    if not knows_store(image.store_id):
        return isinstance(outcome, Failure) and outcome.code is FailureCode.UNKNOWN_STORE and truth.requests == 0
    if isinstance(outcome, Failure) and outcome.code is FailureCode.PROCESSING_ERROR:
        return deaths >= _DEATHS_TO_GIVE_UP
    return truth.allows(outcome)


def _check_rows(contents: Contents, expected: Mapping[ItemKey, int]) -> Iterable[str]:
    """Check that a visit part has a row exactly when all of its images are measured."""
    for key in expected.keys() - contents.rows.keys():
        yield f"row {key} is missing"
    for key in contents.rows.keys() - expected.keys():
        yield f"row {key} exists, but not all images of its visit part are measured"
    for key in expected.keys() & contents.rows.keys():
        perimeter = contents.rows[key]["perimeter"]["N"]
        if int(perimeter) != expected[key]:
            yield f"row {key} has perimeter {perimeter}, but its images add up to {expected[key]}"


def _check_claims(contents: Contents) -> Iterable[str]:
    """Check that each idempotency key has at most one job: the one that its claim names."""
    jobs = defaultdict(list)
    for job in contents.jobs.values():
        if job.idempotency_key is not None:
            jobs[job.idempotency_key].append(job.job_id)
    for key, ids in jobs.items():
        if ids != [contents.claims.get(key)]:
            yield f"idempotency key {key} created jobs {ids}, but its claim names {contents.claims.get(key)}"


def _check_counts(contents: Contents) -> Iterable[str]:
    """Check that no image was accepted without a count; a death after the count leaves it too high."""
    accepted = Counter[str]()
    for job in contents.jobs.values():
        accepted[job.client] += job.images
    for client, images in accepted.items():
        if contents.counted[client] < images:
            yield f"client {client} has jobs of {images} images, but {contents.counted[client]} are counted"


class History:
    """Compares successive snapshots of the table: within a run nothing goes back, and measured images stay measured."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], Job] = {}
        self._measured: dict[tuple[ChunkKey, int], Outcome] = {}
        self.violations: list[str] = []

    def saw_jobs(self, jobs: Iterable[Job]) -> None:
        """Compare jobs with their previous snapshot."""
        for job in jobs:
            key = job.client, job.job_id
            before = self._last.get(key)
            self._last[key] = job
            if before is not None:
                self.violations += [f"job {job.job_id} went back: {what}" for what in _went_back(before, job)]

    def saw_chunks(self, chunks: Mapping[ChunkKey, Chunk]) -> None:
        """Compare measured images with their previous snapshot; no run may change one."""
        for key, chunk in chunks.items():
            measured = {i: outcome for i, outcome in chunk.outcomes.items() if isinstance(outcome, Measured)}
            for (seen_key, index), outcome in self._measured.items():
                if seen_key == key and measured.get(index) != outcome:
                    self.violations.append(f"chunk {key}: image {index} was {outcome}, now {chunk.outcomes.get(index)}")
            self._measured.update({(key, index): outcome for index, outcome in measured.items()})


def _went_back(before: Job, now: Job) -> Sequence[str]:
    if now.run < before.run:
        return [f"run {before.run} to {now.run}"]
    if now.run > before.run:
        return []
    back = []
    if not before.open and now.open:
        back.append("reopened in the same run")
    if not before.open and now.status is not before.status:
        back.append(f"{before.status} to {now.status} after its end")
    for name in ("done", "failed", "transient"):
        if not getattr(before, name) <= getattr(now, name):
            back.append(f"{name} lost {sorted(getattr(before, name) - getattr(now, name))}")
    return back
