"""Usage: images counted once per job, requests in batches, and the daily limit of a key."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from retail_pulse.domain.errors import JobIdTakenError, StorageUnavailableError
from retail_pulse.domain.idempotency import IdempotencyKey
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.usage import DailyLimitError, DayUsage, resets_at
from retail_pulse.domain.visits import Visit
from retail_pulse.use_cases.usage import BATCH_REQUESTS, BATCH_SECONDS, REPORT_DAYS
from tests.support.fakes import Killed
from tests.support.world import START, World

TODAY = START.date()
THREE, FOUR = (Visit("A", "now", [f"image/{number}" for number in range(count)]) for count in (3, 4))
ORDER = IdempotencyKey.of("order-1", b"body")
Submit = Callable[[], Job]


@pytest.fixture
def world() -> World:
    return World()


def used(world: World, day: date = TODAY, client: str = "me") -> tuple[int, int]:
    """Return the images and the requests that the table has for a client and a day."""
    found = world.table.used.get((client, day), DayUsage(day))
    return found.images, found.requests


# ------------------------------------------------------------------ images


def test_the_images_of_a_job_are_counted_before_anything_of_it_is_stored(world: World) -> None:
    world.table.faults.die_after = 1
    with pytest.raises(Killed):
        world.submit(THREE)
    assert (used(world), world.table.stored, world.table.jobs) == ((3, 0), {}, {})


def test_jobs_of_a_day_and_of_a_client_add_up_and_a_day_begins_at_midnight_utc(world: World) -> None:
    world.submit(THREE)
    world.submission.submit("you", [FOUR])
    world.submit(FOUR)
    world.clock = datetime(2026, 11, 24, tzinfo=UTC)
    world.submit(THREE)
    assert (used(world), used(world, date(2026, 11, 24)), used(world, client="you")) == ((7, 0), (3, 0), (4, 0))


def test_a_job_that_cannot_be_stored_gives_its_images_back(world: World) -> None:
    world.table.faults.refuse = 2  # the chunks
    with pytest.raises(StorageUnavailableError):
        world.submit(THREE)
    assert used(world) == (0, 0)
    assert world.table.jobs == {}


def test_images_given_back_after_midnight_are_those_of_the_day_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        world.clock += timedelta(days=1)
        raise StorageUnavailableError("refused by the test")

    monkeypatch.setattr(world.table, "put_chunks", refuse)
    with pytest.raises(StorageUnavailableError):
        world.submit(THREE)
    assert {day: usage.images for (_, day), usage in world.table.used.items()} == {TODAY: 0}


def test_images_stay_counted_when_the_table_does_not_answer_since_the_job_may_exist(world: World) -> None:
    world.table.faults.refuse = 3  # the job
    with pytest.raises(StorageUnavailableError):
        world.submit(THREE)
    assert used(world) == (3, 0)


def test_a_job_whose_images_cannot_be_given_back_gets_the_same_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        world.table.faults.refuse = world.table.faults.writes + 1
        raise StorageUnavailableError("the chunks were refused")

    monkeypatch.setattr(world.table, "put_chunks", refuse)
    with pytest.raises(StorageUnavailableError, match="the chunks were refused"):
        world.submit(THREE)
    assert used(world) == (3, 0)
    assert "3 images of client me stay counted" in caplog.text


@pytest.mark.parametrize("named", [False, True])
def test_a_job_that_gets_no_id_gives_its_images_back(
    world: World, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    def taken(_: Job) -> None:
        raise JobIdTakenError("taken")

    monkeypatch.setattr(world.table, "put_job", taken)
    with pytest.raises(StorageUnavailableError, match="in a row"):
        world.submission.submit_once("me", [THREE], ORDER) if named else world.submit(THREE)
    assert used(world) == (0, 0)


def test_a_submission_sent_again_counts_once(world: World) -> None:
    first = world.submission.submit_once("me", [THREE], ORDER)
    assert world.submission.submit_once("me", [THREE], ORDER) == first
    assert used(world) == (3, 0)


def test_two_attempts_at_once_count_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    put = world.table.put_job

    def put_late(job: Job) -> None:
        monkeypatch.setattr(world.table, "put_job", put)
        first = world.submission.submit_once("me", [THREE], ORDER)
        assert (first.job_id, used(world)) == (job.job_id, (6, 0))
        put(job)

    monkeypatch.setattr(world.table, "put_job", put_late)
    world.submission.submit_once("me", [THREE], ORDER)
    assert used(world) == (3, 0)
    assert len(world.table.jobs) == 1


# ------------------------------------------------------------------ the limit


def test_a_job_is_accepted_up_to_the_limit_and_refused_beyond_it(world: World) -> None:
    world.submission.submit("me", [THREE], 7)
    world.submission.submit("me", [FOUR], 7)
    before = dict(world.table.stored)
    with pytest.raises(DailyLimitError) as raised:
        world.submission.submit("me", [THREE], 7)
    assert str(raised.value) == (
        "visits has 3 images in total; the daily limit of this API key is 7 images, 7 are used, "
        "and it resets at 2026-11-24T00:00:00.000Z"
    )
    assert raised.value.seconds == 12 * 3600
    assert (used(world), world.table.stored) == ((7, 0), before)
    # Other clients, another key of the client, and tomorrow have their own limits.
    world.submission.submit("you", [THREE], 7)
    world.submit(THREE)
    world.clock += timedelta(hours=12)
    world.submission.submit("me", [FOUR], 7)


def test_a_job_larger_than_the_limit_fits_into_no_day(world: World) -> None:
    with pytest.raises(DailyLimitError) as raised:
        world.submission.submit("me", [FOUR], 3)
    assert str(raised.value) == (
        "visits has 4 images in total; the daily limit of this API key is 3 images, so send it as smaller jobs"
    )
    assert world.table.faults.writes == 0


def test_an_accepted_submission_is_not_refused_when_it_is_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    replays = 0

    def submit() -> Job:
        return world.submission.submit_once("me", [THREE], ORDER, 3, on_replay=count)

    def count() -> None:
        nonlocal replays
        replays += 1

    first = submit()
    assert (submit(), replays) == (first, 1)

    # Not even when the second attempt looks for the job just before the first one stores it.
    found = world.table.job
    answers = iter([None])
    monkeypatch.setattr(world.table, "job", lambda *key: next(answers, found(*key)))
    assert (submit(), replays) == (first, 2)
    assert used(world) == (3, 0)


def test_a_refused_submission_can_be_sent_again_under_its_key(world: World) -> None:
    world.submission.submit("me", [FOUR], 5)
    with pytest.raises(DailyLimitError):
        world.submission.submit_once("me", [THREE], ORDER, 5)
    world.clock += timedelta(hours=12)
    assert world.submission.submit_once("me", [THREE], ORDER, 5).images == 3


@pytest.mark.parametrize("moment", ["die_before", "die_after", "refuse"])
@pytest.mark.parametrize("write", [1, 2, 3, 4])
def test_no_fault_counts_fewer_images_than_were_accepted(world: World, write: int, moment: str) -> None:
    setattr(world.table.faults, moment, write)
    try:
        world.submission.submit_once("me", [THREE], ORDER, 10)
        assert moment == "die_after"
    except (Killed, StorageUnavailableError):
        pass
    assert used(world)[0] >= sum(job.images for job in world.table.jobs.values())
    world.submission.submit_once("me", [THREE], ORDER, 10)
    # A crash after the count leaves the images counted, so sending the submission again may count them twice.
    assert used(world)[0] in {3, 6}


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (datetime(2026, 11, 23, tzinfo=UTC), 86_400),
        (datetime(2026, 11, 23, 23, 59, 59, 400_000, tzinfo=UTC), 1),
        (datetime(2026, 12, 31, 23, tzinfo=UTC), 3600),
    ],
)
def test_a_client_waits_until_the_next_midnight(now: datetime, seconds: int) -> None:
    assert DailyLimitError(3, 5, 7, now).seconds == seconds
    assert resets_at(now) > now


# ------------------------------------------------------------------ requests


def test_requests_are_written_in_batches(world: World) -> None:
    for _ in range(BATCH_REQUESTS - 1):
        world.usage.count_request("me")
    assert world.table.faults.writes == 0
    world.usage.count_request("me")
    assert (world.table.faults.writes, used(world)) == (1, (0, BATCH_REQUESTS))


def test_a_minute_after_its_first_request_a_batch_is_written_with_any_clients_next_request(world: World) -> None:
    for client in ("me", "you", "they"):
        world.usage.count_request(client)
        world.clock += timedelta(seconds=1)
    world.clock = START + timedelta(seconds=BATCH_SECONDS - 1)
    world.usage.count_request("you")
    assert world.table.faults.writes == 0
    world.clock = START + timedelta(seconds=BATCH_SECONDS + 10)
    # One per request, the oldest first: a request does not wait for the batches of all clients.
    for expected in (["me"], ["me", "you"], ["me", "they", "you"]):
        world.usage.count_request("new")
        assert sorted(client for client, _ in world.table.used) == expected
    assert used(world, client="you") == (0, 2)


def test_a_submission_takes_the_requests_so_far_along(world: World) -> None:
    for _ in range(3):
        world.usage.count_request("me")
    world.usage.count_request("you")
    world.submit(THREE)
    assert (used(world), used(world, client="you")) == ((3, 3), (0, 0))
    world.clock += timedelta(seconds=BATCH_SECONDS)
    world.usage.count_request("me")
    assert (used(world), used(world, client="you")) == ((3, 3), (0, 1))


def test_requests_belong_to_the_day_on_which_they_came(world: World) -> None:
    world.clock = datetime(2026, 11, 23, 23, 59, 50, tzinfo=UTC)
    world.usage.count_request("me")
    world.clock += timedelta(seconds=70)
    world.usage.count_request("me")
    assert (used(world), used(world, date(2026, 11, 24))) == ((0, 1), (0, 0))


def test_a_batch_that_the_table_refuses_is_lost_and_fails_no_request(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.table.faults.refuse = 1
    for _ in range(BATCH_REQUESTS + 1):
        world.usage.count_request("me")
    assert "50 requests of client me are not counted" in caplog.text
    world.usage.report("me", None)
    assert used(world) == (0, 1)


def test_a_refused_submission_keeps_its_requests_for_later(world: World) -> None:
    world.usage.count_request("me")
    with pytest.raises(DailyLimitError):
        world.submission.submit("me", [FOUR], 3)
    world.table.faults.refuse = world.table.faults.writes + 1
    with pytest.raises(StorageUnavailableError):
        world.submit(FOUR)
    assert world.usage.report("me", None).today == DayUsage(TODAY, 0, 1)


# ------------------------------------------------------------------ the report


def test_a_report_has_today_with_all_requests_and_the_30_days_before_that_have_usage(world: World) -> None:
    for ago, visit in ((REPORT_DAYS + 1, FOUR), (REPORT_DAYS, THREE), (1, FOUR), (0, FOUR)):
        world.clock = START - timedelta(days=ago)
        world.submit(visit)
    world.usage.count_request("me")
    report = world.usage.report("me", 5)
    assert (report.client, report.today) == ("me", DayUsage(TODAY, 4, 1))
    assert (report.limit, report.remaining, report.resets_at) == (5, 1, datetime(2026, 11, 24, tzinfo=UTC))
    assert report.days == [DayUsage(date(2026, 11, 22), 4), DayUsage(date(2026, 10, 24), 3)]


def test_a_report_without_usage_has_zeros_for_today_and_no_days(world: World) -> None:
    report = world.usage.report("me", None)
    assert (report.today, report.days) == (DayUsage(TODAY), [])


@pytest.mark.parametrize(("limit", "remaining"), [(None, None), (3, 0), (2, 0), (10, 7)])
def test_nothing_remains_of_a_limit_that_is_used_up(world: World, limit: int | None, remaining: int | None) -> None:
    world.submit(THREE)
    assert world.usage.report("me", limit).remaining == remaining
    assert world.usage.report("you", limit).remaining == limit
