"""A client of the API, for the demo, the benchmarks and the tests of the whole stack."""

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter

# The API has no call that blocks until a job ends, so clients poll.
_POLL_SECONDS = 0.1
_REQUEST_SECONDS = 60.0


class JobNotEndedError(TimeoutError):
    """A job was still ongoing when the time was up."""


class ApiClient:
    """Calls the API at a base URL with one key or none; a context manager, safe to share between threads.

    `connections` is the maximum number of concurrent requests. `read`, `submit`, `wait` and `results` raise
    `requests.HTTPError` for an unexpected status. Its text includes the response's body.
    """

    def __init__(self, url: str, key: str | None, *, connections: int = 10) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", HTTPAdapter(pool_maxsize=connections))
        self._session.headers.update({"x-api-key": key} if key else {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, path: str, **query: str | int) -> requests.Response:
        """Send a GET."""
        return self.request("GET", path, params=query or None)

    def post(self, path: str, body: Any = None, **arguments: Any) -> requests.Response:
        """Send a POST with a JSON body."""
        return self.request("POST", path, json=body, **arguments)

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send a request of any method."""
        return self._session.request(method, self._url + path, timeout=_REQUEST_SECONDS, **arguments)

    def read(self, path: str, **query: str | int) -> Any:
        """Send a GET and return the JSON of the response, which must be a 200."""
        return _json(self.get(path, **query), HTTPStatus.OK)

    def submit(self, *visits: tuple[str, list[str]]) -> int:
        """Submit a job of visits, each a store ID and image URLs; return the job's ID."""
        job_id: int = _json(self.post("/api/submit", submission(*visits)), HTTPStatus.CREATED)["job_id"]
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
        query: dict[str, str | int] = {"limit": 1000}
        while True:
            page = self.read(f"/api/jobs/{job_id}/results", **query)
            yield from page["results"]
            if not page["next_cursor"]:
                return
            query["cursor"] = page["next_cursor"]


def submission(*visits: tuple[str, list[str]]) -> dict[str, Any]:
    """Return the request body for a job of visits, each a store ID and image URLs."""
    rows = [{"store_id": store, "image_url": urls, "visit_time": "2026-01-31T09:30:00Z"} for store, urls in visits]
    return {"count": len(rows), "visits": rows}


def _json(response: requests.Response, status: HTTPStatus) -> Any:
    if response.status_code != status:
        text = f"{response.request.method} {response.url} returned {response.status_code}: {response.text[:500]}"
        raise requests.HTTPError(text, response=response)
    return response.json()
