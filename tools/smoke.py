"""``make smoke URL=... KEY=...``: check any deployed stage over HTTP with the contract's own example.

Prints one line per check. The exit code is 0 when all checks pass, 1 when one fails, 2 for an invalid command.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from pulse.client import NO_KEY, Client, ServiceError, UnreachableError

_EXAMPLE_IMAGES: Final = "https://www.gstatic.com/webp/gallery"
_REQUEST_SECONDS: Final = 35.0
_CSV_TYPE: Final = "text/csv; charset=utf-8"
_JOB_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.5
# Job IDs count time: the first ones belong to a time before any job was submitted.
_UNKNOWN_JOB: Final = "1"
_USAGE: Final = """\
smoke needs the URL of a stage and an API key:

    make smoke URL=https://abc123.execute-api.eu-west-1.amazonaws.com KEY=...

`make key CLIENT=name STACK=name` creates a key for a stage; `make serve` prints the URL and the key of a local one."""


class CheckError(Exception):
    """A check failed; the text says why."""


class Smoke:
    """The checks of one stage, by a key with the scopes `submit` and `read`; each method returns what it found."""

    def __init__(self, url: str, key: str, *, images: str = _EXAMPLE_IMAGES, seconds: float = _JOB_SECONDS) -> None:
        self._client = Client(url, key)
        self._images = images.rstrip("/")
        self._seconds = seconds
        self._job_id: int | None = None

    def run(self) -> bool:
        """Run every check, print one line per check, and return whether all have passed.

        Raises
        ------
        UnreachableError
            Nothing answers at the URL.
        """
        checks: list[tuple[str, Callable[[], str]]] = [
            ("health needs no key", self.health),
            ("a request without a key is refused", self.no_key),
            ("an unknown key is refused", self.unknown_key),
            ("an invalid body is refused", self.mistake),
            ("the example job is accepted", self.submit),
            ("the job's status", lambda: self.status("/api/status")),
            ("the job's status, with a trailing slash", lambda: self.status("/api/status/")),
            ("the status of an unknown job is 400", self.unknown_job),
            ("the job ends", self.end),
            ("the job's results", self.results),
            ("the job's counts", self.counts),
            ("the job's results, filtered", self.filtered),
            ("the results as CSV", self.csv),
            ("the lists of jobs, images and visits", self.lists),
            ("the client's usage", self.usage),
            ("an unknown parameter is refused", self.unknown_parameter),
        ]
        with self._client:
            # A URL at which nothing answers is one line, not a failure of every check.
            with contextlib.suppress(ServiceError):
                self._client.call("GET", "/api/health", headers=NO_KEY)
            # Run every check: knowing what passes helps to explain a failure.
            passed = [_passes(name, check) for name, check in checks]
        return all(passed)

    def health(self) -> str:
        self._json("GET", "/api/health", 200, headers=NO_KEY)
        return "200"

    def no_key(self) -> str:
        self._json("GET", "/api/status", 401, headers=NO_KEY, params={"jobid": _UNKNOWN_JOB})
        self._json("POST", "/api/submit", 401, headers=NO_KEY, json=self._example())
        return "401 on both routes of the contract"

    def unknown_key(self) -> str:
        headers = {"x-api-key": "an-unknown-key"}
        self._json("GET", "/api/status", 403, headers=headers, params={"jobid": _UNKNOWN_JOB})
        return "403"

    def mistake(self) -> str:
        example = self._example()
        del example["visits"][1]["store_id"]
        body = self._json("POST", "/api/submit", 400, json=example)
        problem = {"place": "visits[1].store_id", "rule": "is missing"}
        if body.get("error") != " ".join(problem.values()) or body.get("errors") != [problem]:
            raise CheckError(f"the response is {body}; it does not name only the place visits[1].store_id")
        return f"400, {body['error']}"

    def submit(self) -> str:
        body = self._json("POST", "/api/submit", 201, json=self._example())
        job_id = body.get("job_id")
        if list(body) != ["job_id"] or not isinstance(job_id, int) or isinstance(job_id, bool):
            raise CheckError(f'the response is {body}, not {{"job_id": <number>}}')
        self._job_id = job_id
        return f"201, job {job_id}"

    def status(self, path: str) -> str:
        return f"200, {self._status(path)['status']}"

    def unknown_job(self) -> str:
        for query in ({"jobid": _UNKNOWN_JOB}, {"jobid": "not-a-number"}, {}):
            body = self._json("GET", "/api/status", 400, params=query)
            if body != {}:
                raise CheckError(f"the response to {query} is {body}, not {{}}")
        return "400 {}, also for a jobid that is missing or not a number"

    def end(self) -> str:
        start = time.monotonic()
        while (body := self._status("/api/status"))["status"] == "ongoing":
            if time.monotonic() - start > self._seconds:
                raise CheckError(f"the job is still ongoing after {self._seconds:g} s")
            time.sleep(_POLL_SECONDS)
        ended = f"{body['status']} within {time.monotonic() - start:.1f} s"
        # The stage is not responsible for the images' servers, so either end is correct.
        if body["status"] == "completed":
            return ended
        reasons = "; ".join(f"{entry['store_id']}: {entry['error']}" for entry in body["error"])
        return f"{ended}, which is correct if the images are unreachable ({reasons})"

    def results(self) -> str:
        rows = self._json("GET", f"{self._job_path()}/results", 200).get("results", [])
        places = [(row.get("visit"), row.get("image")) for row in rows]
        if places != [(0, 0), (0, 1), (1, 0)]:
            raise CheckError(f"the results are for the images {places}, not for the example's images in order")
        seen = []
        for row in rows:
            if row["outcome"] not in {"measured", "failed"}:
                raise CheckError(f"the job has ended, but an image is {row['outcome']}")
            if row["outcome"] == "failed":
                seen.append(row["error"]["code"])
            elif 0 < row["perimeter"] == 2 * (row["height"] + row["width"]):
                seen.append(str(row["perimeter"]))
            else:
                raise CheckError(f"{row['width']} x {row['height']} pixels, but a perimeter of {row['perimeter']}")
        return ", ".join(seen)

    def counts(self) -> str:
        body = self._json("GET", self._job_path(), 200)
        images = body.get("images", {})
        if images.get("total") != 3 or images.get("pending") != 0 or body.get("visits", {}).get("total") != 2:
            raise CheckError(f"the job has ended, but its counts are {body.get('visits')} and {images}")
        return f"{images['measured']} measured, {images['failed']} failed"

    def filtered(self) -> str:
        path = f"{self._job_path()}/results"
        found = []
        for outcome in ("measured", "failed"):
            # One row a page, so that there is a cursor to follow.
            rows = list(self._client.rows(path, "results", {"outcome": outcome, "limit": 1}))
            if any(row["outcome"] != outcome for row in rows):
                raise CheckError(f"the results with the outcome {outcome} have other ones")
            found.append(len(rows))
        if sum(found) != 3:
            raise CheckError(f"{found[0]} measured and {found[1]} failed images are not the job's 3 images")
        return f"{found[0]} measured, {found[1]} failed"

    def csv(self) -> str:
        answer = self._client.call("GET", f"{self._job_path()}/results", params={"format": "csv"})
        lines = answer.text.split("\r\n")
        if answer.headers.get("Content-Type") != _CSV_TYPE or not lines[0].startswith("visit,image,store_id,"):
            raise CheckError(f"the response is {answer.headers.get('Content-Type')}: {lines[0][:200]}")
        if len(lines) != 5 or lines[-1]:
            raise CheckError(f"{len(lines) - 1} lines are not a header and the job's 3 images")
        return "a header and 3 rows"

    def usage(self) -> str:
        body = self._json("GET", "/api/usage", 200)
        images = body.get("today", {}).get("images", 0)
        # The day may have ended since the submission.
        if images < 3 and not body.get("days"):
            raise CheckError(f"the usage of the client does not have the job's 3 images: {body}")
        return f"client {body.get('client')}, {images} images today"

    def unknown_parameter(self) -> str:
        body = self._json("GET", "/api/jobs", 400, params={"nonsense": "1"})
        if body.get("code") != "invalid_request" or "nonsense" not in body.get("detail", ""):
            raise CheckError(f"the response does not name the parameter: {body}")
        return f"400, {body['detail']}"

    def lists(self) -> str:
        job_id = str(self._submitted())
        jobs = self._json("GET", "/api/jobs", 200, params={"limit": 100}).get("jobs", [])
        images = self._json("GET", "/api/images", 200, params={"limit": 1000}).get("images", [])
        visits = self._json("GET", "/api/visits", 200).get("results")
        for name, rows in (("jobs", jobs), ("images", images)):
            if job_id not in {row.get("job_id") for row in rows}:
                raise CheckError(f"job {job_id} is not among the newest {name}")
        if not isinstance(visits, list):
            raise CheckError("the report has no results")
        return f"{len(jobs)} jobs, {len(images)} images"

    def _example(self) -> dict[str, Any]:
        two, three = f"{self._images}/2.jpg", f"{self._images}/3.jpg"
        visits = [
            {"store_id": "S00339218", "image_url": [two, three], "visit_time": "time of store visit"},
            {"store_id": "S01408764", "image_url": [three], "visit_time": "time of store visit"},
        ]
        return {"count": len(visits), "visits": visits}

    def _submitted(self) -> int:
        if self._job_id is None:
            raise CheckError("no job was accepted")
        return self._job_id

    def _job_path(self) -> str:
        return f"/api/jobs/{self._submitted()}"

    def _status(self, path: str) -> dict[str, Any]:
        """Read the job's status and check its fields against the contract."""
        job_id = self._submitted()
        body = self._json("GET", path, 200, params={"jobid": job_id})
        status, stores = body.get("status"), body.get("error")
        expected = {"status": status, "job_id": str(job_id)} | ({"error": stores} if status == "failed" else {})
        if body != expected or status not in {"ongoing", "completed", "failed"}:
            raise CheckError(f"the response does not match the contract: {body}")
        if status == "failed" and not (stores and all(set(store) == {"store_id", "error"} for store in stores)):
            raise CheckError(f"the list of failing stores does not match the contract: {stores}")
        return body

    def _json(self, method: str, path: str, status: int, **arguments: Any) -> dict[str, Any]:
        """Send a request, by default with the stage's key; return the JSON object of the response."""
        answer = self._client.call(method, path, status, timeout=_REQUEST_SECONDS, **arguments)
        try:
            body = answer.json()
        except requests.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            text = " ".join(answer.text[:200].split())
            raise CheckError(f"{method} {path} did not return a JSON object: {text}")
        return body


def _passes(name: str, check: Callable[[], str]) -> bool:
    try:
        seen = check()
    except (CheckError, requests.RequestException) as error:
        print(f"FAIL  {name}: {error}", flush=True)
        return False
    print(f"ok    {name}: {seen}", flush=True)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="tools.smoke", description="Check a deployed stage over HTTP.")
    parser.add_argument("url", nargs="?", default="", help="base URL of the API: the stack's output ApiUrl")
    parser.add_argument("key", nargs="?", default="", help="an API key")
    parser.add_argument(
        "--images", default=_EXAMPLE_IMAGES, help="URL of the folder with the example's 2.jpg and 3.jpg"
    )
    parser.add_argument("--seconds", type=float, default=_JOB_SECONDS, help="maximum wait for the job to end")
    options = parser.parse_args(arguments)
    if not options.url or not options.key:
        print(_USAGE, file=sys.stderr)
        return 2
    if urlsplit(options.url).scheme not in {"http", "https"} or not urlsplit(options.url).hostname:
        print(f"the URL must start with http:// or https://: {options.url!r}", file=sys.stderr)
        return 2
    try:
        passed = Smoke(**vars(options)).run()
    except UnreachableError as error:
        print(f"Cannot connect to {options.url}: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    print("The stage fulfills the contract." if passed else "The stage does not fulfill the contract.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
