"""How many requests a host may have in flight, and when it rests."""

import time
from collections.abc import Callable

import pytest

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.hosts import Hosts, Slot

BUSY = MeasuringError(FailureCode.HTTP_STATUS, "503 from h", passing=True)
GONE = MeasuringError(FailureCode.HTTP_STATUS, "404 from h", passing=False)
OURS = MeasuringError(FailureCode.CONNECT_FAILED, "no file descriptors", costs_attempt=False)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def begin(hosts: Hosts, host: str = "h", client: str = "me") -> Slot:
    slot = hosts.begin(client, host)
    assert slot is not None
    return slot


def answers(hosts: Hosts, *errors: MeasuringError | None, host: str = "h", client: str = "me") -> None:
    for error in errors:
        begin(hosts, host, client).end(error)


def all_slots(hosts: Hosts, host: str = "h") -> list[Slot]:
    slots = []
    while (slot := hosts.begin("me", host)) is not None:
        slots.append(slot)
    return slots


def grown(limit: int, host: str = "h", now: Callable[[], float] = time.monotonic) -> Hosts:
    """Return hosts of which one has answered well, as often as it takes to get all slots."""
    hosts = Hosts(limit, now)
    while len(slots := all_slots(hosts, host)) < limit:
        for slot in slots:
            slot.end()
    for slot in slots:
        slot.cancel()
    return hosts


def test_a_host_that_has_not_answered_gets_four_requests() -> None:
    assert len(all_slots(Hosts(100))) == 4
    assert len(all_slots(Hosts(3))) == 3


def test_each_good_answer_adds_a_request_up_to_the_maximum() -> None:
    hosts = Hosts(10)
    rounds = []
    for _ in range(4):
        slots = all_slots(hosts)
        rounds.append(len(slots))
        for slot in slots:
            slot.end()
    assert rounds == [4, 8, 10, 10]


@pytest.mark.parametrize("error", [None, GONE])
def test_an_answer_that_does_not_want_a_retry_is_a_good_one(error: MeasuringError | None) -> None:
    hosts = Hosts(10)
    for slot in all_slots(hosts):
        slot.end(error)
    assert hosts.room("h") == 8


def test_good_answers_add_no_request_that_is_not_wanted() -> None:
    hosts = Hosts(10)
    answers(hosts, *[None] * 20)
    assert hosts.room("h") == 4


def test_each_bad_answer_halves_the_requests_down_to_one() -> None:
    hosts = grown(16)
    rooms = []
    for _ in range(6):
        rooms.append(hosts.room("h"))
        answers(hosts, BUSY)
    assert rooms == [16, 8, 4, 2, 1, 1]
    assert len(all_slots(hosts)) == 1


def test_our_own_shortage_changes_nothing_for_the_host() -> None:
    hosts = Hosts(16)
    answers(hosts, *[OURS] * 10)
    assert hosts.room("h") == 4
    assert hosts.rest("me", "h") is None


def test_a_cancelled_request_gives_its_slot_back() -> None:
    hosts = Hosts(16)
    for slot in all_slots(hosts):
        slot.cancel()
    assert hosts.room("h") == 4


def test_a_host_rests_after_bad_answers_in_a_row_each_time_for_longer() -> None:
    clock = Clock()
    hosts = Hosts(16, clock)
    answers(hosts, BUSY, BUSY, BUSY)
    assert hosts.rest("me", "h") is None
    rests = []
    for _ in range(9):
        answers(hosts, BUSY)
        rest = hosts.rest("me", "h")
        assert rest is not None
        assert rest.retry_after is not None
        assert (rest.code, rest.message, rest.is_transient, rest.costs_attempt) == (
            BUSY.code, BUSY.message, True, False,
        )  # fmt: skip
        rests.append(rest.retry_after)
        clock.now += rest.retry_after
        assert hosts.rest("me", "h") is None
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_bad_answers_that_were_in_flight_do_not_prolong_a_rest() -> None:
    clock = Clock()
    hosts = grown(16, now=clock)
    for slot in all_slots(hosts):
        slot.end(BUSY)
    rest = hosts.rest("me", "h")
    assert rest is not None
    assert rest.retry_after == 1


def test_a_good_answer_ends_the_row() -> None:
    hosts = Hosts(16)
    answers(hosts, BUSY, BUSY, BUSY, None, BUSY, BUSY, BUSY)
    assert hosts.rest("me", "h") is None


@pytest.mark.parametrize(("asked", "seconds"), [(0.0, 0.0), (7.0, 7.0), (10_000.0, 900.0)])
def test_retry_after_holds_for_the_client_at_that_host(asked: float, seconds: float) -> None:
    clock = Clock()
    hosts = Hosts(16, clock)
    answers(hosts, MeasuringError(FailureCode.HTTP_STATUS, "429", passing=True, retry_after=asked))
    rest = hosts.rest("me", "h")
    assert (0.0 if rest is None else rest.retry_after) == seconds
    assert hosts.rest("other", "h") is None
    assert hosts.rest("me", "other") is None


def test_a_server_that_asks_for_no_wait_gets_one_like_any_other() -> None:
    clock = Clock()
    hosts = Hosts(16, clock)
    eager = MeasuringError(FailureCode.HTTP_STATUS, "503", passing=True, retry_after=0.0)
    answers(hosts, eager, eager, eager, eager)
    rests = []
    for _ in range(3):
        rest = hosts.rest("me", "h")
        assert rest is not None
        assert rest.retry_after is not None
        rests.append(rest.retry_after)
        clock.now += rest.retry_after
        answers(hosts, eager)
    assert rests == [1, 2, 4]


def test_one_clients_bad_answers_rest_only_its_own_requests() -> None:
    hosts = Hosts(16)
    answers(hosts, *[BUSY] * 10, client="mallory")
    assert hosts.rest("mallory", "h") is not None
    assert hosts.rest("alice", "h") is None
    # The number of requests is one for all: it protects the host.
    assert hosts.room("h") == 1


def test_hosts_are_forgotten_the_oldest_first_but_not_while_they_are_in_use() -> None:
    hosts = Hosts(16)
    kept = begin(hosts, "in use")
    for number in range(5_000):
        answers(hosts, BUSY, host=f"h{number}")
    assert len(hosts._hosts) <= 2_001
    assert hosts.room("h0") == 4
    assert hosts.room("h4999") == 2
    assert hosts.room("in use") == 3
    kept.end()


class TestTallies:
    def test_name_the_hosts_with_the_most_failures_then_the_slowest_with_their_codes(self) -> None:
        clock = [0.0]
        hosts = Hosts(10, lambda: clock[0])

        def request(host: str, seconds: float, code: FailureCode | None = None) -> None:
            slot = hosts.begin("me", host)
            assert slot is not None
            clock[0] += seconds
            slot.end(None if code is None else MeasuringError(code, "x"))

        request("fast.test", 0.5)
        request("slow.test", 3.0)
        request("bad.test", 1.0, FailureCode.TIMEOUT)
        request("bad.test", 0.25, FailureCode.HTTP_STATUS)
        request("bad.test", 0.25)
        request("", 9.0, FailureCode.INVALID_URL)

        assert hosts.tallies.take(2) == [
            {"host": "bad.test", "requests": 3, "seconds": 1.5, "failed": 2, "codes": "http_status timeout"},
            {"host": "slow.test", "requests": 1, "seconds": 3.0, "failed": 0, "codes": ""},
        ]
        # The next batch starts from zero.
        assert hosts.tallies.take(2) == []

    def test_leave_out_slots_that_were_given_back(self) -> None:
        hosts = Hosts(10)
        slot = hosts.begin("me", "a.test")
        assert slot is not None
        slot.cancel()
        assert hosts.tallies.take(5) == []
