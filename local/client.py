"""The client of `pulse`, with what the demo, the benchmarks and the tests of the whole stack need in addition."""

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import requests

from pulse.client import Client

_POLL_SECONDS = 0.1


class JobNotEndedError(TimeoutError):
    """A job was still ongoing when the time was up."""


class ApiClient(Client):
    """Calls the API with one attempt each. `read`, `submit`, `wait` and `results` raise as `Client.call` does."""

    def get(self, path: str, **query: str | int) -> requests.Response:
        """Send a GET, and follow redirects as a browser does."""
        return self.request("GET", path, params=query or None, allow_redirects=True)

    def post(self, path: str, body: Any = None, **arguments: Any) -> requests.Response:
        """Send a POST with a JSON body."""
        return self.request("POST", path, json=body, **arguments)

    def submit(self, *visits: tuple[str, list[str]]) -> int:
        """Submit a job of visits, each a store ID and image URLs; return the job's ID."""
        answer = self.call("POST", "/api/submit", HTTPStatus.CREATED, json=submission(*visits))
        job_id: int = answer.json()["job_id"]
        return job_id

    def wait(self, job_id: int, seconds: float, on_poll: Callable[[], object] | None = None) -> dict[str, Any]:
        """Poll a job's status until the job ends; return the final status. Call `on_poll` after each status.

        Raises
        ------
        JobNotEndedError
            When the job does not end in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            status: dict[str, Any] = self.read("/api/status", jobid=job_id)
            if on_poll is not None:
                on_poll()
            if status["status"] != "ongoing":
                return status
            if time.monotonic() > deadline:
                raise JobNotEndedError(f"job {job_id} is still ongoing after {seconds:g} s")
            time.sleep(_POLL_SECONDS)

    def results(self, job_id: int) -> Iterator[dict[str, Any]]:
        """Yield a job's results, one row per image, page by page."""
        return self.rows(f"/api/jobs/{job_id}/results", "results", {})


def submission(*visits: tuple[str, list[str]]) -> dict[str, Any]:
    """Return the request body for a job of visits, each a store ID and image URLs."""
    rows = [{"store_id": store, "image_url": urls, "visit_time": "2026-01-31T09:30:00Z"} for store, urls in visits]
    return {"count": len(rows), "visits": rows}
