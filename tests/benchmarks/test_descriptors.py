"""A worker with Lambda's descriptors; `python -m benchmarks.descriptors` has more images."""

import sys

import pytest

from benchmarks.descriptors import count
from local.emulator.descriptors import LIMIT
from retail_pulse.measuring.download.pool import MAX_IDLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_worker_measures_images_of_a_hundred_hosts_with_lambdas_descriptors() -> None:
    found = count(images=1_500, hosts=100)
    assert found.status == "completed"
    assert found.max_descriptors < LIMIT
    assert 0 < found.idle_sockets <= MAX_IDLE
