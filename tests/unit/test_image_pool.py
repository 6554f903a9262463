"""The pool of images: what is measured when, and what waits without a thread."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from unittest.mock import Mock, call

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.hosts import Hosts, Slot
from retail_pulse.domain.image_requests import HostBusyError, ImageRequest
from retail_pulse.domain.outcomes import AfterFailure, Failure, LeaveOpen, Measured, Outcome, RetryInline
from retail_pulse.use_cases.attempts_line import PooledImage
from retail_pulse.use_cases.image_pool import ImagePool
from tests.support.fakes import ending_slots, pool_of
from tests.support.waiting import END_SECONDS, wait_until

GOOD = Measured("PNG", 5, 5, 100)
BUSY = MeasuringError(FailureCode.TIMEOUT, "too slow")
GONE = MeasuringError(FailureCode.HTTP_STATUS, "404", passing=False)


def always() -> bool:
    return True


def image(url: str, wait: float = 0.0, tag: str = "", client: str = "me") -> PooledImage[str]:
    return PooledImage(tag or url, ImageRequest(client, url), wait)


def ready(run: Iterable[tuple[str, Outcome | None] | None]) -> list[tuple[str, Outcome | None]]:
    """Return what became ready, without the signs that time has passed."""
    return [each for each in run if each is not None]


def test_images_are_yielded_in_the_order_in_which_they_become_ready() -> None:
    pool = pool_of(lambda _: GOOD, 1)
    images = [image("c", 0.05), image("b", 0.02), image("a")]
    assert ready(pool.run(images, always)) == [("a", GOOD), ("b", GOOD), ("c", GOOD)]


def test_a_delay_holds_no_thread() -> None:
    measure = Mock(return_value=GOOD)
    # Long enough for its thread to measure the others, also on a busy machine.
    pool = pool_of(measure, 1, delay_min=1.0, delay_max=1.0)
    run = pool.run([image(url) for url in "abc"], always)
    assert next(filter(None, run)) == ("a", GOOD)
    assert measure.mock_calls == [call("a"), call("b"), call("c")]
    assert ready(run) == [("b", GOOD), ("c", GOOD)]


def test_a_failed_attempt_is_retried_left_open_or_the_end() -> None:
    failure = Failure.of(BUSY)
    script: dict[str, list[AfterFailure]] = {
        "retried": [RetryInline(0.01), RetryInline(0.01), failure],
        "open": [LeaveOpen()],
        "failed": [failure],
    }
    measure = Mock(side_effect=BUSY)
    pool = ImagePool(ending_slots(measure), 1, Hosts(1), lambda url: url)
    found = pool.run([image(url) for url in script], always, lambda tag, _: script[tag].pop(0))
    assert dict(ready(found)) == {"retried": failure, "open": None, "failed": failure}
    assert Counter(attempt.args[0] for attempt in measure.mock_calls) == {"retried": 3, "open": 1, "failed": 1}


def test_once_nothing_may_start_the_rest_stays_open_without_waiting() -> None:
    measure = Mock(return_value=GOOD)
    pool = pool_of(measure, 1)
    images = [image(url, wait) for url, wait in (("a", 0.0), ("b", 0.02), ("c", 3600.0))]
    assert dict(ready(pool.run(images, lambda: not measure.called))) == {"a": GOOD, "b": None, "c": None}
    measure.assert_called_once_with("a")


def test_a_caller_that_stops_half_way_leaves_no_attempts_to_the_threads() -> None:
    measured: list[str] = []
    goes_on = threading.Event()

    def measure(url: str) -> Measured:
        measured.append(url)
        if url == "slow":
            goes_on.wait(10)
        return GOOD

    pool = pool_of(measure, 1)
    run = pool.run([image(url) for url in ("fast", "slow", "abandoned")], always)
    assert next(filter(None, run)) == ("fast", GOOD)
    run.close()  # type: ignore[attr-defined]  # it is a generator
    goes_on.set()
    pool._executor.shutdown()
    assert "abandoned" not in measured


def test_slots_of_an_abandoned_run_are_given_back() -> None:
    goes_on = threading.Event()
    hosts = Hosts(2)
    pool = ImagePool(ending_slots(lambda _: (goes_on.wait(10) and GOOD) or GOOD), 1, hosts, lambda _: "host")
    run = pool.run([image("a"), image("b")], always)
    assert next(iter(run)) is None  # a quarter of a second without an image
    run.close()  # type: ignore[attr-defined]  # it is a generator
    goes_on.set()
    pool._executor.shutdown()
    assert hosts.room("host") == 2


# ------------------------------------------------------------------ clients and hosts


class Servers:
    """Servers that answer when the test lets them; counts requests in flight by host."""

    def __init__(self, answer: Callable[[ImageRequest], Measured] | None = None) -> None:
        self.answer = answer or self.wait
        self.lock = threading.Lock()
        self.begun: list[ImageRequest] = []
        self.in_flight: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.goes_on = threading.Event()

    def measure(self, request: ImageRequest, slot: Slot) -> Measured:
        host = slot.host
        with self.lock:
            self.begun.append(request)
            self.in_flight[host] += 1
            self.most[host] = max(self.most[host], self.in_flight[host])
        try:
            measured = self.answer(request)
        except MeasuringError as error:
            slot.end(error)
            raise
        else:
            slot.end()
            return measured
        finally:
            with self.lock:
                self.in_flight[host] -= 1

    def wait(self, _request: ImageRequest) -> Measured:
        self.goes_on.wait(10)
        return GOOD


def host_of(url: str) -> str:
    return url.partition("/")[0]


def open_hosts(limit: int) -> Hosts:
    """Return hosts that have answered well often enough to have all slots."""
    hosts = Hosts(limit)
    for name in ("a", "b", "good", "slow", "quick"):
        while hosts.room(name) < limit:
            slots = [hosts.begin("me", name) for _ in range(hosts.room(name))]
            for slot in slots:
                assert slot is not None
                slot.end()
    return hosts


def test_a_client_with_few_images_does_not_wait_for_one_with_many() -> None:
    servers = Servers()
    pool = ImagePool(servers.measure, 4, open_hosts(100), host_of)
    images = [image(f"slow/{n}", client="mallory") for n in range(50)] + [
        image(f"quick/{n}", client="alice") for n in (0, 1)
    ]
    run = pool.run(images, always)
    assert next(iter(run)) is None
    wait_until(lambda: len(servers.begun) == 4, END_SECONDS)
    assert Counter(request.client for request in servers.begun) == {"mallory": 2, "alice": 2}
    servers.goes_on.set()
    assert len(ready(run)) == 52


def test_a_client_has_all_threads_while_nobody_else_waits() -> None:
    servers = Servers()
    pool = ImagePool(servers.measure, 4, open_hosts(100), host_of)
    run = pool.run([image(f"slow/{n}") for n in range(6)], always)
    assert next(iter(run)) is None
    wait_until(lambda: len(servers.begun) == 4, END_SECONDS)
    assert sorted(request.url for request in servers.begun) == ["slow/0", "slow/1", "slow/2", "slow/3"]
    servers.goes_on.set()
    assert len(ready(run)) == 6


def test_a_busy_host_holds_no_thread_and_no_other_image() -> None:
    servers = Servers()
    pool = ImagePool(servers.measure, 20, open_hosts(100), host_of)  # "new" has not answered
    run = pool.run([image(f"new/{n}") for n in range(30)] + [image(f"good/{n}") for n in range(10)], always)
    assert next(iter(run)) is None
    wait_until(lambda: servers.in_flight.total() == 14, END_SECONDS)
    assert servers.in_flight == {"new": 4, "good": 10}
    servers.goes_on.set()
    assert len(ready(run)) == 40


def test_a_host_that_answers_well_gets_all_threads() -> None:
    def answer(_: ImageRequest) -> Measured:
        time.sleep(0.02)
        return GOOD

    servers = Servers(answer)
    pool = ImagePool(servers.measure, 32, Hosts(100), host_of)
    assert len(ready(pool.run([image(f"new/{n}") for n in range(300)], always))) == 300
    assert servers.most["new"] == 32


def test_a_host_that_fails_gets_few_requests_and_then_rests() -> None:
    def fail(_: ImageRequest) -> Measured:
        raise MeasuringError(FailureCode.HTTP_STATUS, "503", passing=True)

    servers = Servers(fail)
    errors: list[MeasuringError] = []

    def after_failure(_: Any, error: MeasuringError) -> AfterFailure:
        errors.append(error)
        return LeaveOpen()

    pool = ImagePool(servers.measure, 32, Hosts(32), host_of)
    assert ready(pool.run([image(f"bad/{n}") for n in range(300)], always, after_failure))
    assert servers.most["bad"] <= 4
    assert len(servers.begun) <= 8  # the others were put off: the host rests
    assert sum(error.costs_attempt for error in errors) == len(servers.begun)
    assert len(errors) == 300


def test_retry_after_holds_for_all_images_of_the_client_at_the_host() -> None:
    def busy(_: ImageRequest) -> Measured:
        raise MeasuringError(FailureCode.HTTP_STATUS, "429", passing=True, retry_after=60)

    servers = Servers(busy)
    waits: list[float | None] = []

    def after_failure(_: Any, error: MeasuringError) -> AfterFailure:
        waits.append(error.retry_after)
        return LeaveOpen()

    pool = ImagePool(servers.measure, 1, Hosts(100, now=lambda: 1000.0), host_of)
    images = [image(f"a/{n}") for n in range(5)] + [image("a/other", client="other")]
    assert len(ready(pool.run(images, always, after_failure))) == 6
    # One of each client is enough.
    assert sorted(request.client for request in servers.begun) == ["me", "other"]
    assert set(waits) == {60}


def test_equal_urls_of_a_client_are_requested_once() -> None:
    servers = Servers()
    servers.goes_on.set()
    pool = ImagePool(servers.measure, 2, open_hosts(10), host_of)
    images = [image("a/same", tag=str(n)) for n in range(5)] + [
        image("a/same", 0.3, tag="late"),
        image("a/same", tag="other", client="other"),
    ]
    assert dict(ready(pool.run(images, always))) == dict.fromkeys([*map(str, range(5)), "late", "other"], GOOD)
    assert sorted(request.client for request in servers.begun) == ["me", "other"]


def test_equal_urls_share_a_failure_too_and_each_image_decides_for_itself() -> None:
    measure = Mock(side_effect=[BUSY, GONE])
    decisions: dict[str, list[AfterFailure]] = {
        "1": [RetryInline(0.0), Failure.of(GONE)],
        "2": [LeaveOpen()],
        "3": [Failure.of(GONE)],
    }
    pool = pool_of(measure, 1)
    images = [image("same", tag="1"), image("same", tag="2"), image("same", 0.3, tag="3")]
    found = dict(ready(pool.run(images, always, lambda tag, _: decisions[tag].pop(0))))
    assert found == {"1": Failure.of(GONE), "2": None, "3": Failure.of(GONE)}
    assert measure.call_count == 2


def test_a_redirect_to_a_busy_host_continues_there_once_it_has_a_slot() -> None:
    hosts = Hosts(1)
    begun: list[str] = []

    def measure(request: ImageRequest, slot: Slot) -> Measured:
        begun.append(request.url)
        if request.url.startswith("a/"):
            slot.end()
            raise HostBusyError(request.redirected("b/" + request.url))
        assert (slot.host, request.redirects) == ("b", 1)
        slot.end()
        return GOOD

    pool = ImagePool(measure, 2, hosts, host_of)
    images = [image("a/1"), image("a/2"), image("a/1", tag="again")]
    assert dict(ready(pool.run(images, always))) == {"a/1": GOOD, "a/2": GOOD, "again": GOOD}
    assert sorted(begun) == ["a/1", "a/2", "b/a/1", "b/a/2"]


def test_time_that_passes_without_an_image_is_told() -> None:
    goes_on = threading.Event()
    pool = pool_of(lambda _: (goes_on.wait(10) and GOOD) or GOOD, 1)
    run = pool.run([image("slow")], always)
    assert [next(iter(run)) for _ in range(2)] == [None, None]
    goes_on.set()
    assert ready(run) == [("slow", GOOD)]
