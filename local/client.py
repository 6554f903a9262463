"""A client of the API, as the benchmarks and the tests of the whole stack use it."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter

# The API has nothing to wait on: a client asks again.
_ASK_AGAIN_SECONDS = 0.1
_REQUEST_SECONDS = 60.0


class JobNotEndedError(TimeoutError):
    """A job was still ongoing when the time was up."""


class ApiClient:
    """Calls the API of one stack with one key; a context manager, safe for threads.

    Parameters
    ----------
    url
        Base URL of the API.
    key
        API key, or None to send none.
    connections
        How many requests may be under way at once.
    """

    def __init__(self, url: str, key: str | None, *, connections: int = 10) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", HTTPAdapter(pool_maxsize=connections))
        self._session.headers.update({"x-api-key": key} if key else {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def get(self, path: str, **query: str | int) -> requests.Response:
        """Send a GET."""
        return self._session.get(self._url + path, params=query or None, timeout=_REQUEST_SECONDS)

    def post(self, path: str, body: Any = None, **arguments: Any) -> requests.Response:
        """Send a POST; a body is sent as JSON."""
        return self._session.post(self._url + path, json=body, timeout=_REQUEST_SECONDS, **arguments)

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send a request of any method."""
        return self._session.request(method, self._url + path, timeout=_REQUEST_SECONDS, **arguments)

    def submit(self, *visits: tuple[str, list[str]]) -> int:
        """Submit a job of visits, each a store id and image URLs; return the job's id.

        Raises
        ------
        requests.HTTPError
            When it is not accepted.
        """
        answer = self.post("/api/submit", submission(*visits))
        answer.raise_for_status()
        job_id: int = answer.json()["job_id"]
        return job_id

    def wait(self, job_id: int, seconds: float) -> dict[str, Any]:
        """Ask for a job's status until it has ended; return the answer.

        Raises
        ------
        JobNotEndedError
            When it has not ended after some seconds.
        requests.HTTPError
            When the status is no 200.
        """
        deadline = time.monotonic() + seconds
        while True:
            answer = self.get("/api/status", jobid=job_id)
            answer.raise_for_status()
            body: dict[str, Any] = answer.json()
            if body["status"] != "ongoing":
                return body
            if time.monotonic() > deadline:
                raise JobNotEndedError(f"job {job_id} is ongoing after {seconds:g} s")
            time.sleep(_ASK_AGAIN_SECONDS)

    def results(self, job_id: int) -> Iterator[dict[str, Any]]:
        """Yield a job's results, one row an image, page by page."""
        query: dict[str, str | int] = {"limit": 1000}
        while True:
            answer = self.get(f"/api/jobs/{job_id}/results", **query)
            answer.raise_for_status()
            page = answer.json()
            yield from page["results"]
            if not page["next_cursor"]:
                return
            query["cursor"] = page["next_cursor"]


def submission(*visits: tuple[str, list[str]]) -> dict[str, Any]:
    """Return the body of a job of visits, each a store id and image URLs."""
    return {
        "count": len(visits),
        "visits": [
            {"store_id": store, "image_url": urls, "visit_time": "2026-01-31T09:30:00Z"} for store, urls in visits
        ],
    }
