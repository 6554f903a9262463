"""Log lines and metrics of the functions."""

import json
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging import utils
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from retail_pulse.domain.jobs import Job

__all__ = ["FunctionMetrics", "Logger", "MetricUnit", "about_request", "make_logger", "open_descriptors"]

# What Powertools adds to each line, and the line's log group says already.
_NOT_LOGGED = ("function_name", "function_arn", "function_memory_size")


def _compact(line: dict[str, Any]) -> str:
    """Return a log line as JSON, without fields that only cost money."""
    kept = {name: value for name, value in line.items() if name not in _NOT_LOGGED}
    return json.dumps(kept, default=str, separators=(",", ":"), ensure_ascii=False)


def make_logger() -> Logger:
    """Return the function's logger; the package's own modules log through it too.

    The name and the level come from the environment (``POWERTOOLS_SERVICE_NAME``, ``POWERTOOLS_LOG_LEVEL``). No line
    contains a URL, a key or a header, since URLs may be signed.
    """
    level = os.environ["POWERTOOLS_LOG_LEVEL"]
    logger = Logger(use_rfc3339=True, utc=True, json_serializer=_compact)
    # Powertools prefers Lambda's level, which stays at INFO when ours is higher: lines of metrics have no level.
    logging.getLogger(logger.name).setLevel(level)
    utils.copy_config_to_registered_loggers(source_logger=logger, log_level=level, include={"retail_pulse"})
    # Lambda sets this one too. Below WARNING, libraries log the URLs and the headers of their requests.
    logging.getLogger().setLevel(logging.WARNING)
    return logger


@contextmanager
def about_request(logger: Logger, event: Mapping[str, Any]) -> Iterator[None]:
    """Add the id of an API request to all of its log lines, and its client and key if it has one.

    A route adds ``job_id`` to them by ``logger.append_keys``.
    """
    context = event["requestContext"]
    found = context.get("authorizer", {}).get("lambda", {})
    caller = {name: found[name] for name in ("client", "key_id") if name in found}
    logger.append_keys(request=context["requestId"], **caller)
    try:
        yield
    finally:
        logger.remove_keys(["request", "client", "key_id", "job_id"])


class FunctionMetrics:
    """The function's metrics by service and stage, sent as log lines in the embedded metric format."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        self._metrics.set_default_dimensions(stage=os.environ["STAGE"])

    def count(self, **counts: int) -> None:
        """Add counts. Zeros are left out: each metric costs money for every hour in which it is sent."""
        for name, value in counts.items():
            if value:
                self.add(name, MetricUnit.Count, value)

    def add(self, name: str, unit: MetricUnit, value: float) -> None:
        """Add a value; a metric may have several."""
        self._metrics.add_metric(name, unit, value)

    def count_answer(self, status: int) -> None:
        """Count an answer if the client was refused, or if the table or the queue refused the request."""
        self.count(
            RequestsRefused=int(status in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)),
            StorageUnavailable=int(status == HTTPStatus.SERVICE_UNAVAILABLE),
        )

    def count_ended(self, jobs: "Collection[Job]") -> None:
        """Count jobs that have ended, and add how long those took that were not reopened."""
        self.count(JobsEnded=len(jobs))
        for job in jobs:
            if job.run == 1 and job.ended_at is not None:
                self.add("JobSeconds", MetricUnit.Seconds, (job.ended_at - job.created_at).total_seconds())

    def send(self) -> None:
        """Write what was added to the log."""
        if self._metrics.metric_set:
            self._metrics.flush_metrics()


def open_descriptors() -> int:
    """Return how many files and sockets the process has open; Lambda allows 1,024."""
    # The first folder is Linux's, the second one that of macOS.
    folder = next(filter(Path.is_dir, map(Path, ("/proc/self/fd", "/dev/fd"))))
    return sum(1 for _ in folder.iterdir()) - 1  # without the folder itself
