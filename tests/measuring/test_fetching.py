"""Fetching from a real server on 127.0.0.1: what a broken answer is called."""

import ipaddress

import pytest

from local.images.pictures import Format, make_image
from local.images.server import ImageServer, cut_after
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.fetch import Fetcher, FetchLimits

LIMITS = FetchLimits(1, 1, 2, 10**6, 10**4, 3)
POLICY = CallPolicy([ipaddress.ip_network("127.0.0.0/8")], [range(1, 65536)])
PICTURE = make_image(Format.PNG, 20, 27)


@pytest.mark.parametrize("sent", [0, 10, 40])
def test_a_body_that_ends_before_its_length_is_truncated(sent: int) -> None:
    fetcher = Fetcher(LIMITS, POLICY, 1)
    with ImageServer() as server:
        url = server.script("/cut", cut_after(PICTURE, sent))
        with pytest.raises(MeasuringError) as caught:
            fetcher.measure(url)
    assert caught.value.code is FailureCode.TRUNCATED
    assert caught.value.is_transient
