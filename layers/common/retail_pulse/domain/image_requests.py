"""What is asked of image servers: one image, on behalf of one client."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """An image to download, for a client; ``redirects`` counts those that have led to its URL so far."""

    client: str
    url: str
    redirects: int = 0

    def redirected(self, url: str) -> "ImageRequest":
        """Return the request that follows a redirect."""
        return replace(self, url=url, redirects=self.redirects + 1)


class HostBusyError(Exception):
    """A redirect leads to a host that has no free slot; ``request`` continues the download once it has one."""

    def __init__(self, request: ImageRequest) -> None:
        self.request = request
        super().__init__("the host has no free slot")
