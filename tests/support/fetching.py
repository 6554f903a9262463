"""Measuring an image with a real fetcher, as the pool of images does it."""

from retail_pulse.domain.hosts import Hosts
from retail_pulse.domain.image_requests import HostBusyError, ImageRequest
from retail_pulse.domain.outcomes import Measured
from retail_pulse.measuring.download.urls import host_key
from retail_pulse.measuring.fetch import Fetcher


def measure(fetcher: Fetcher, url: str, client: str = "client") -> Measured:
    """Return the size of an image; a redirect to a busy host is followed at once."""
    request = ImageRequest(client, url)
    while True:
        slot = Hosts(1).begin(client, host_key(request.url))
        assert slot is not None
        try:
            return fetcher.measure(request, slot)
        except HostBusyError as busy:
            request = busy.request
