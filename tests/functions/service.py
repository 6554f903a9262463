"""The deployed functions in this process: loaded from functions/, and called with the events that AWS sends."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3

from local.client import submission
from local.lambda_host.context import Context
from local.lambda_host.events import Event, api_event, event, sqs_event
from local.lambda_host.load import load
from local.lambda_host.poller import QueuePoller

STORE = "S00339218"
Answer = tuple[int, Any]
By = Mapping[str, str] | None


class Service:
    """The functions on one table and queue, each loaded at its first use.

    Parameters
    ----------
    queue_url
        The URL of the queue.
    """

    def __init__(self, queue_url: str) -> None:
        self.queue_url = queue_url
        self.load = cache(load)
        self._poller = QueuePoller(boto3.client("sqs"), queue_url, self._process)

    def call(self, function: str, sent: Event, by: By = None) -> Answer:
        """Call a function of the API; return the status code and the JSON of its response.

        Parameters
        ----------
        function, sent
            The function's folder in functions/, and the event.
        by
            What replaces the client, key and scopes that the authorizer found.
        """
        if by:
            sent["requestContext"]["authorizer"]["lambda"] |= by
        answer = self.load(function).handler(sent, Context())
        # Lambda sends the response as JSON in UTF-8.
        json.dumps(answer, ensure_ascii=False).encode()
        return answer["statusCode"], json.loads(answer["body"])

    def get(self, path: str, *, by: By = None, **query: str | int) -> Answer:
        """Send a GET."""
        sent = api_event("GET", path, query={name: str(value) for name, value in query.items()})
        return self.call("status", sent, by)

    def post(
        self,
        path: str = "/api/submit",
        body: str | bytes | dict[str, Any] | None = None,
        *,
        by: By = None,
        **headers: str,
    ) -> Answer:
        """Send a POST, by default the recorded submission."""
        text = event("submit")["body"] if body is None else json.dumps(body) if isinstance(body, dict) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("submit", api_event("POST", path, body=text, headers=named), by)

    def submit(self, *urls: str, by: By = None) -> int:
        """Submit a job of one visit; return its ID."""
        code, answer = self.post(body=submission((STORE, list(urls))), by=by)
        assert code == 201
        job_id: int = answer["job_id"]
        return job_id

    def messages(self) -> Event:
        """Receive the messages of the queue; return their event."""
        return sqs_event(self._poller.receive(), self.queue_url)

    def deliver(self) -> int:
        """Process and delete the messages of the queue; return their number."""
        return self._poller.poll()

    def _process(self, sent: Event) -> Any:
        response = self.load("process").handler(sent, Context())
        assert response == {"batchItemFailures": []}
        return response
