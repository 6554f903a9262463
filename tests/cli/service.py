"""A stand-in for the service: it accepts jobs, remembers Idempotency-Keys, and answers as it is told to."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

Answer: TypeAlias = tuple[int, Any, Mapping[str, str]]
FORBIDDEN: Answer = (403, {"message": "Forbidden"}, {})


@dataclass
class Job:
    """A job as it was accepted."""

    job_id: str
    body: dict[str, Any]
    key: str | None
    failed: int = 0
    status: str = "completed"

    @property
    def images(self) -> int:
        return sum(len(visit["image_url"]) for visit in self.body["visits"])

    def details(self) -> dict[str, Any]:
        counts = {"total": self.images, "measured": self.images - self.failed, "failed": self.failed, "pending": 0}
        return self.listed() | {"images": counts, "visits": counts}

    def listed(self) -> dict[str, Any]:
        times = dict.fromkeys(["created_at", "ended_at", "expires_at"], "2026-11-23T10:00:00.000Z")
        mine = {"job_id": self.job_id, "status": self.status, "run": 1, "metadata": self.body.get("metadata", {})}
        return mine | times | {"visits": len(self.body["visits"]), "images": self.images, "progress": 1.0}

    def rows(self) -> list[dict[str, Any]]:
        pairs = [(visit, url) for visit in self.body["visits"] for url in visit["image_url"]]
        return [
            {
                "store_id": visit["store_id"],
                "visit_time": visit["visit_time"],
                "url": url,
                "outcome": "failed" if number < self.failed else "measured",
                "perimeter": None if number < self.failed else 420,
                "error": {"code": "http_status", "message": "status 404"} if number < self.failed else None,
                "last_error": None,
            }
            for number, (visit, url) in enumerate(pairs)
        ]


@dataclass
class StandIn:
    """The service; a context manager.

    `scripted` has answers that are given first, in their order, to any request. `fail_next` is how many images of the
    next job fail. After `fail_after` jobs, no other is accepted.
    """

    scripted: list[Answer] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    claims: dict[str, tuple[bytes, Job]] = field(default_factory=dict)
    fail_next: int = 0
    fail_after: int | None = None

    def __enter__(self) -> Self:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(service.answer("GET", self.path, b"", None))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._send(service.answer("POST", self.path, body, self.headers.get("Idempotency-Key")))

            def _send(self, answer: Answer) -> None:
                status, body, headers = answer
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, target: str, body: bytes, key: str | None) -> Answer:
        self.requests.append(f"{method} {target}")
        if self.scripted:
            return self.scripted.pop(0)
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if method == "POST" and parts.path == "/api/submit":
            return self._submit(body, key)
        match parts.path:
            case "/api/usage":
                return 200, {"client": "acme"}, {}
            case "/api/status":
                is_known = any(job.job_id == query["jobid"] for job in self.jobs)
                return (200, {"status": "completed"}, {}) if is_known else (400, {}, {})
            case "/api/jobs":
                return 200, {"jobs": [job.listed() for job in reversed(self.jobs)], "next_cursor": None}, {}
            case "/api/images":
                rows = [{"job_id": job.job_id} | row for job in self.jobs for row in job.rows()]
                return 200, {"images": rows, "next_cursor": None}, {}
        found = re.fullmatch(r"/api/jobs/(\d+)(/results)?", parts.path)
        job = next((job for job in self.jobs if found and job.job_id == found[1]), None)
        if job is None or found is None:
            return 404, {"detail": "no such job", "code": "job_not_found", "request_id": "abc"}, {}
        if not found[2]:
            return 200, job.details(), {}
        return self._results(job, query)

    def _submit(self, body: bytes, key: str | None) -> Answer:
        if key in self.claims:
            sent, job = self.claims[key]
            if sent != body:
                return 422, {"error": "used for another body", "code": "idempotency_mismatch"}, {}
            return 201, {"job_id": int(job.job_id)}, {"Idempotent-Replayed": "true"}
        if self.fail_after == len(self.jobs):
            return 500, {"error": "internal server error", "code": "internal_error"}, {}
        job = Job(
            str(1000 + len(self.jobs)),
            json.loads(body),
            key,
            self.fail_next,
            "failed" if self.fail_next else "completed",
        )
        self.jobs.append(job)
        if key is not None:
            self.claims[key] = body, job
        return 201, {"job_id": int(job.job_id)}, {}

    @staticmethod
    def _results(job: Job, query: Mapping[str, str]) -> Answer:
        rows = [row for row in job.rows() if query.get("outcome") in {None, row["outcome"]}]
        start, limit = int(query.get("cursor", 0)), int(query["limit"])
        page, more = rows[start : start + limit], start + limit < len(rows)
        if query.get("format") != "csv":
            return 200, {"results": page, "next_cursor": str(start + limit) if more else None}, {}
        lines = ["store_id,url,outcome", *(f"{row['store_id']},{row['url']},{row['outcome']}" for row in page)]
        link = (
            {"Link": f'</api/jobs/{job.job_id}/results?format=csv&cursor={start + limit}>; rel="next"'} if more else {}
        )
        return 200, "".join(f"{line}\r\n" for line in lines).encode(), link
