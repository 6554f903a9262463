"""Submit, process and read on a table and a queue in memory: deaths, doubled messages, stale runs, other clients."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.emulator.gateway import LAMBDA_BYTES
from retail_pulse.api.answers import failed_store_size, result_size, results_answer, status_answer
from retail_pulse.api.router import json_answer
from retail_pulse.domain.chunks import Pointer, Scope
from retail_pulse.domain.errors import InvalidRequestError, JobNotFoundError, StorageUnavailableError
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.idempotency import IdempotencyKey
from retail_pulse.domain.jobs import Job, JobStatus, Reopening
from retail_pulse.domain.outcomes import Failure, Measured
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.visits import Visit
from retail_pulse.use_cases.image_rows import Position
from retail_pulse.use_cases.reading import MAX_STATUS_CHUNKS, ResultPage
from retail_pulse.use_cases.submission import MAX_CHUNKS
from tests.support.fakes import Killed, pool_of
from tests.support.world import START, World

VISITS = [Visit("A", "2026-11-23", ["good/1", "good/2", "good/3"]), Visit("B", "some time", ["good/4"])]
PERIMETERS = {0: 72, 1: 28}
NO_RETRIES = RetryPolicy(max_attempts=1, give_up_seconds=0)


def measure(url: str, _seconds: float) -> Measured:
    """Measure by the URL: ``good/7`` is 7 pixels wide."""
    kind, _, number = url.partition("/")
    if kind == "good":
        return Measured("PNG", int(number), 10, 100)
    if kind == "transient":
        raise MeasuringError(FailureCode.TIMEOUT, "too slow")
    if kind == "bug":
        raise ZeroDivisionError
    raise MeasuringError(FailureCode.NOT_AN_IMAGE, "no image")


def new_world() -> World:
    return World(measure, NO_RETRIES, pool=lambda fetch: pool_of(fetch, 4))


@pytest.fixture
def world() -> World:
    return new_world()


def replace_messages(world: World, pointers: Iterable[Pointer]) -> None:
    """Put messages into the queue, in place of those that it holds."""
    world.queue.waiting.clear()
    world.queue.put_back(pointers)


def test_a_job_of_good_images_ends_completed_with_a_row_for_every_visit_part(world: World) -> None:
    job = world.submit(*VISITS)
    assert world.job(job).status is JobStatus.ONGOING
    _, report = world.deliver()
    ended = world.job(job)
    assert (ended.status, ended.open, ended.ended_at, ended.due) == (JobStatus.COMPLETED, False, START, None)
    assert report.measured == 4
    assert [closed.job_id for closed in report.closed] == [job.job_id]
    assert perimeters(world) == PERIMETERS


def test_an_unknown_store_fails_without_a_download_and_the_rest_is_measured(world: World) -> None:
    job = world.submit(Visit("nobody", "t", ["good/1", "good/2"]), Visit("A", "t", ["good/3", "bad/4", "bad/5"]))
    world.deliver()
    assert sorted(world.fetched_urls()) == ["bad/4", "bad/5", "good/3"]
    ended = world.job(job)
    assert ended.status is JobStatus.FAILED
    assert [(store.store_id, store.error) for store in world.reading.failed_stores(ended)] == [
        ("nobody", "unknown_store: store nobody is not in the store master"),
        ("A", "not_an_image: no image: bad/4 (and 1 more image)"),
    ]


def test_a_bug_in_a_library_fails_one_image_only(world: World) -> None:
    job = world.submit(Visit("A", "t", ["bug/1", "good/2"]))
    world.deliver()
    failed, measured = world.outcomes(job)
    assert isinstance(failed, Failure)
    assert (failed.code, failed.is_transient) == (FailureCode.PROCESSING_ERROR, False)
    assert isinstance(measured, Measured)


def test_every_message_doubled_at_once_and_late_changes_nothing(world: World) -> None:
    job = world.submit(*VISITS)
    pointers, _ = world.deliver()
    once = (world.job(job), dict(world.table.stored), dict(world.table.rows))
    replace_messages(world, pointers * 2)
    _, report = world.deliver()
    assert (world.job(job), world.table.stored, world.table.rows) == once
    assert not report.failed_messages
    assert len(world.fetched) == 4


def perimeters(world: World) -> dict[int, int]:
    return {visit: row.perimeter for (_, visit, _), row in world.table.rows.items()}


WRITES = 7


def test_a_clean_job_takes_so_many_writes() -> None:
    world = World(measure, NO_RETRIES, max_unsaved_seconds=60.0)
    world.submit(*VISITS)
    world.deliver()
    assert world.table.faults.writes == WRITES


# A submission takes three writes: the count of its images, the chunks and the job.
@pytest.mark.parametrize("write", range(4, WRITES + 1))
@pytest.mark.parametrize("moment", ["die_before", "die_after", "refuse"])
def test_a_worker_that_dies_or_is_refused_at_any_write_loses_nothing(world: World, write: int, moment: str) -> None:
    job = world.submit(*VISITS)
    pointers = [message.pointer for message in world.queue.waiting]
    setattr(world.table.faults, moment, write)
    try:
        _, report = world.deliver()
        assert moment == "refuse"
        assert report.failed_messages
    except Killed:
        assert moment != "refuse"
    replace_messages(world, pointers)
    world.deliver()
    ended = world.job(job)
    assert (ended.status, ended.open, ended.done) == (JobStatus.COMPLETED, False, frozenset({0, 1}))
    assert all(isinstance(outcome, Measured) for outcome in world.outcomes(job))
    assert perimeters(world) == PERIMETERS


@pytest.mark.parametrize("write", [1, 2])
def test_a_submission_that_the_table_refuses_leaves_no_job(world: World, write: int) -> None:
    world.table.faults.refuse = write
    with pytest.raises(StorageUnavailableError):
        world.submit(*VISITS)
    assert not world.table.jobs
    assert not world.queue.waiting


def test_a_job_is_accepted_when_the_queue_refuses_every_message(world: World) -> None:
    world.queue.refuses = True
    job = world.job(world.submit(*VISITS))
    assert (job.due, job.wait) == (int(START.timestamp()), 0)


def test_a_job_of_more_chunks_than_its_item_can_number_is_refused_before_anything_is_stored(world: World) -> None:
    too_many = [Visit("A", "now", ["u"] * (world.submission.chunk_images * MAX_CHUNKS + 1))]
    refusal = "visits make 20001 chunks of at most 3 images; the limit is 20000"
    with pytest.raises(InvalidRequestError, match=refusal):
        world.submission.submit("me", too_many)
    with pytest.raises(InvalidRequestError, match=refusal):
        world.submission.submit_once("me", too_many, IdempotencyKey("order-1", "hash"))
    assert world.table.faults.writes == 0
    # The key is free for a smaller job.
    smaller = [Visit("A", "now", ["u"] * 3)]
    assert world.submission.submit_once("me", smaller, IdempotencyKey("order-1", "other")).chunks == 1


def test_when_time_is_short_nothing_is_started_and_the_rest_goes_back_to_the_queue(world: World) -> None:
    job = world.submit(*VISITS)
    _, report = world.deliver(may_start=lambda: False)
    assert report.requeued == 2
    assert not world.fetched
    assert world.job(job).open
    world.deliver()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_later_run_retries_only_what_its_scope_includes_and_old_messages_are_dropped(world: World) -> None:
    job = world.submit(Visit("A", "t", ["good/1", "transient/2", "bad/3"]), Visit("B", "t", ["good/4"]))
    old, _ = world.deliver()
    assert world.job(job).transient == {0}
    # Reopen the job as step 12 does: one write on the job, then the messages.
    reopening = Reopening(frozenset({0}), Scope.TRANSIENT, JobStatus.ONGOING, automatic=0, due=0, wait=0)
    again = world.table.reopen_job(world.job(job), reopening)
    assert again is not None
    replace_messages(world, [again.pointer_to(0)])
    pending = world.outcomes(job)
    assert pending[1] is None
    assert isinstance(pending[2], Failure)
    progress = world.reading.progress("me", job.job_id)
    assert progress.images == {"measured": 2, "failed": 1, "pending": 1}
    assert progress.visits == {"pending": 1, "measured": 1}
    world.fetched.clear()
    world.deliver()
    assert world.fetched_urls() == ["transient/2"]
    assert world.job(job).status is JobStatus.FAILED
    replace_messages(world, old)
    _, report = world.deliver()
    assert report.dropped == 1  # chunk 0 is at run 2; chunk 1 never left run 1, but the job did
    assert world.job(job).done == {0, 1}
    assert world.job(job).run == again.run


def test_a_job_of_another_client_and_an_expired_job_are_not_found(world: World) -> None:
    job = world.submit(*VISITS)
    with pytest.raises(JobNotFoundError):
        world.reading.job("you", job.job_id)
    world.clock += timedelta(days=91)
    with pytest.raises(JobNotFoundError):
        world.reading.job("me", job.job_id)


def pages(world: World, job: Job, limit: int) -> Iterator[ResultPage]:
    start: Position | None = Position(0, 0)
    while start is not None:
        page = world.reading.results("me", job.job_id, start, limit)
        yield page
        start = page.next_position and Position.parse(str(page.next_position))


def urls_on(pages: list[ResultPage]) -> list[str]:
    return [row.shown.image.url for page in pages for row in page.rows]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 100])
def test_pages_together_hold_every_row_once_in_the_order_of_the_body(world: World, limit: int) -> None:
    urls = [f"good/{number}" for number in range(1, 15)]
    job = world.submit(Visit("A", "t", urls[:1]), Visit("A", "t", urls[1:9]), Visit("B", "t", urls[9:]))
    found = list(pages(world, job, limit))
    assert urls_on(found) == urls
    assert all(len(page.rows) == limit for page in found[:-1])


@pytest.mark.parametrize("cursor", ["", "1", "a.b", "-1.0", "1.2.3", "٣.1", "1." + "9" * 20])
def test_an_invalid_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequestError, match="cursor"):
        Position.parse(cursor)


# ------------------------------------------------------------------ the size of answers


def failed_job(world: World, visits: list[Visit], message: str) -> Job:
    """Submit a job in which every image fails with a message."""
    job = world.submit(*visits)
    world.table.stored = {
        key: replace(chunk, outcomes=dict.fromkeys(range(chunk.size), Failure(FailureCode.TIMEOUT, message, True)))
        for key, chunk in world.table.stored.items()
    }
    return replace(job, status=JobStatus.FAILED, failed=frozenset(range(job.chunks)), done=frozenset())


def lambda_bytes(content: Any) -> int:
    """Return the length of an answer as Lambda's runtime writes it, in its longest form."""
    body = json_answer(content).body or ""
    headers = {"Content-Type": "application/problem+json; charset=utf-8", "Cache-Control": "private, max-age=86400"}
    return len(json.dumps({"statusCode": 200, "headers": headers, "body": body, "isBase64Encoded": False}))


# What is longer within an answer than in the body of the job: quotes, and what JSON escapes.
AWKWARD = ['"', "\\", "\x01", "\x7f", "\n", "é", "店", "\U0001f600"]


@pytest.mark.parametrize("character", AWKWARD)
def test_sizes_are_what_the_answer_has(world: World, character: str) -> None:
    failed = failed_job(world, [Visit(character * 3, character * 5, [character * 9] * 7)], character * 20)
    stores = world.reading.failed_stores(failed)
    rows = world.reading.results("me", failed.job_id, Position(0, 0), 5).rows
    empty = lambda_bytes([]) - 1  # one element less has one comma less
    assert lambda_bytes(status_answer(failed, stores)["error"]) == empty + sum(map(failed_store_size, stores))
    assert lambda_bytes(results_answer(ResultPage(rows, None))["results"]) == empty + sum(map(result_size, rows))


class FullChunks(World):
    """A world with chunks of the largest size."""

    chunk_images = 50


@pytest.mark.parametrize("character", AWKWARD)
@pytest.mark.parametrize("stores", [500, MAX_STATUS_CHUNKS * 50, MAX_STATUS_CHUNKS * 50 + 1])
def test_a_failed_status_fits_into_the_answer_of_lambda(character: str, stores: int) -> None:
    world = FullChunks()
    name = character * (60 // len(character.encode()))
    visits = [Visit(f"{number:04x}{name}", "t", [f"u{character * 200}"]) for number in range(stores)]
    failed = failed_job(world, visits, character * 300)
    found = world.reading.failed_stores(failed)
    assert lambda_bytes(status_answer(failed, found)) <= LAMBDA_BYTES
    # In the order of the body, and all of the chunks that are read.
    assert [store.store_id for store in found] == [visit.store_id for visit in visits[: MAX_STATUS_CHUNKS * 50]]
    # The answer has room for the texts of a tenth of them.
    texts = {"timeout" if stores > 500 else f"timeout: {character * 300}: u{character * 199}"}
    assert {store.error for store in found} == texts


@pytest.mark.parametrize("character", AWKWARD)
def test_a_page_of_results_fits_into_the_answer_of_lambda(world: World, character: str) -> None:
    size = len(character.encode())
    urls = [f"{number:04d}{character * (2_044 // size)}" for number in range(1_500)]
    failed = failed_job(world, [Visit(character * (64 // size), character * (128 // size), urls)], character * 300)
    found = list(pages(world, failed, 1_000))
    assert all(page.rows and lambda_bytes(results_answer(page)) <= LAMBDA_BYTES for page in found)
    assert urls_on(found) == urls
