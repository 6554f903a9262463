"""The pool of images: what is measured when, and what waits without a thread."""

import threading
from collections import Counter
from unittest.mock import Mock, call

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.outcomes import AfterFailure, Failure, LeaveOpen, Measured, RetryInline
from retail_pulse.use_cases.image_pool import ImagePool, PooledImage

GOOD = Measured("PNG", 5, 5, 100)
BUSY = MeasuringError(FailureCode.TIMEOUT, "too slow")


def always() -> bool:
    return True


def test_images_are_yielded_in_the_order_in_which_they_become_ready() -> None:
    pool = ImagePool(lambda _: GOOD, 1)
    images = [PooledImage("last", "u", 0.05), PooledImage("second", "u", 0.02), PooledImage("first", "u")]
    assert list(pool.run(images, always)) == [("first", GOOD), ("second", GOOD), ("last", GOOD)]


def test_a_delay_holds_no_thread() -> None:
    measure = Mock(return_value=GOOD)
    pool = ImagePool(measure, 1, delay_min=0.2, delay_max=0.2)
    run = pool.run([PooledImage(url, url) for url in "abc"], always)
    assert next(run) == ("a", GOOD)
    assert measure.mock_calls == [call("a"), call("b"), call("c")]
    assert list(run) == [("b", GOOD), ("c", GOOD)]


def test_a_failed_attempt_is_retried_left_open_or_the_end() -> None:
    failure = Failure.of(BUSY)
    script: dict[str, list[AfterFailure]] = {
        "retried": [RetryInline(0.01), RetryInline(0.01), failure],
        "open": [LeaveOpen()],
        "failed": [failure],
    }
    measure = Mock(side_effect=BUSY)
    pool = ImagePool(measure, 1)
    found = pool.run([PooledImage(url, url) for url in script], always, lambda tag, _: script[tag].pop(0))
    assert dict(found) == {"retried": failure, "open": None, "failed": failure}
    assert Counter(attempt.args[0] for attempt in measure.mock_calls) == {"retried": 3, "open": 1, "failed": 1}


def test_once_nothing_may_start_the_rest_stays_open() -> None:
    measure = Mock(return_value=GOOD)
    pool = ImagePool(measure, 1)
    images = [PooledImage(url, url, wait) for url, wait in (("a", 0.0), ("b", 0.02), ("c", 0.04))]
    assert dict(pool.run(images, lambda: not measure.called)) == {"a": GOOD, "b": None, "c": None}
    measure.assert_called_once_with("a")


def test_a_caller_that_stops_half_way_leaves_no_attempts_to_the_threads() -> None:
    measured: list[str] = []
    goes_on = threading.Event()

    def measure(url: str) -> Measured:
        measured.append(url)
        if url == "slow":
            goes_on.wait(10)
        return GOOD

    pool = ImagePool(measure, 1)
    run = pool.run([PooledImage(url, url) for url in ("fast", "slow", "abandoned")], always)
    assert next(run) == ("fast", GOOD)
    run.close()  # type: ignore[attr-defined]  # it is a generator
    goes_on.set()
    pool._threads.shutdown()
    assert "abandoned" not in measured
