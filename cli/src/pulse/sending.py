"""Submits the parts of a file, each once: what an earlier run has submitted is found again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from pulse.client import Client, Query, ServiceError
from pulse.errors import ExitCode, PulseError
from pulse.parts import Part, metadata_size, split
from pulse.records import Record, SentPart
from pulse.visits import VisitsFile

# The service remembers an Idempotency-Key for 24 hours; from an hour before on, it is not relied on.
_REMEMBERED: Final = timedelta(hours=23)
_NAME_CHARACTERS: Final = 100
# No name takes more bytes as JSON: the parts of a file do not depend on its name.
_LONGEST_NAME: Final = "\0" * _NAME_CHARACTERS
_MAX_PAIRS: Final = 16
_JOBS_PER_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class SentJob:
    """The job of a part; `is_new` unless an earlier run has submitted it."""

    number: int
    of: int
    job_id: str
    visits: int
    images: int
    is_new: bool

    @property
    def part(self) -> str:
        """What the part is called; empty for the only one."""
        return f"part {self.number} of {self.of}" if self.of > 1 else ""


class Sender:
    """Submits a file to a service.

    Parameters
    ----------
    record
        What earlier runs have submitted from the same content.
    """

    def __init__(self, client: Client, record: Record) -> None:
        self._client = client
        self._record = record

    def send(self, found: VisitsFile) -> Iterator[SentJob]:
        """Submit each part that is not submitted yet, and yield the job of each part.

        Raises
        ------
        ServiceError, UnreachableError
            The service did not accept a part.
        PulseError
            It is not known whether the service has accepted a part.
        """
        longest = _metadata(found.metadata, _LONGEST_NAME, "0000 of 0000", self._record.key(9999))
        parts = split(found.visits, metadata_bytes=metadata_size(longest))
        for number, part in enumerate(parts, 1):
            job_id, is_new = self._job(number, part, parts, found.metadata)
            yield SentJob(number, len(parts), job_id, len(part.visits), part.images, is_new)

    def _job(self, number: int, part: Part, parts: Sequence[Part], given: Mapping[str, str]) -> tuple[str, bool]:
        """Return a part's job, and whether it is new."""
        sent = self._record.parts.get(str(number))
        earlier = self._earlier(number, sent) if sent else None
        if earlier is not None:
            self._record.accepted(number, earlier)
            return earlier, False
        key = self._record.key(number)
        title = f"{number} of {len(parts)}" if len(parts) > 1 else ""
        body = part.body(_metadata(given, self._record.name, title, key))
        self._record.sending(number)
        try:
            submitted = self._client.submit_body(body, key)
        except ServiceError as error:
            if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
            # The same content, under another name or from another version of this program.
            return self._find(key, datetime.now(UTC) - timedelta(days=2), number), False
        self._record.accepted(number, submitted.job_id)
        return submitted.job_id, not submitted.is_replay

    def _earlier(self, number: int, sent: SentPart) -> str | None:
        """Return the job of a part that was sent; None if it has to be sent again, which the service may remember."""
        if sent.job_id is not None:
            if self._knows(sent.job_id):
                return sent.job_id
            self._record.forget(number)
            return None
        since = datetime.fromtimestamp(sent.sent_at, UTC)
        if datetime.now(UTC) - since < _REMEMBERED:
            return None
        # The run was killed while it waited for the response, and the service may have forgotten the key.
        job_id = self._search(self._record.key(number), since - timedelta(hours=1))
        if job_id is None:
            self._record.forget(number)
        return job_id

    def _knows(self, job_id: str) -> bool:
        try:
            return self._client.knows_job(job_id)
        except ServiceError as error:
            # A key that may only submit cannot ask; the record says that the job was accepted.
            if error.code == "missing_scope":
                return True
            raise

    def _find(self, key: str, since: datetime, number: int) -> str:
        job_id = self._search(key, since)
        if job_id is None:
            raise PulseError(
                f"The service has part {number} of this content already, but not the same request.",
                "`pulse jobs` lists what is submitted; --again submits the file once more",
                code=ExitCode.NO_SERVICE,
            )
        self._record.accepted(number, job_id)
        return job_id

    def _search(self, key: str, since: datetime) -> str | None:
        """Return the job that was submitted under a key, by its metadata."""
        query: Query = {"from": since.strftime("%Y-%m-%dT%H:%M:%SZ"), "limit": _JOBS_PER_PAGE}
        jobs: Iterator[dict[str, Any]] = self._client.rows("/api/jobs", "jobs", query)
        return next((job["job_id"] for job in jobs if job["metadata"].get("submission") == key), None)


def _metadata(given: Mapping[str, str], name: str, title: str, key: str) -> dict[str, str]:
    """Return the metadata of a part: those of the file, then its name, which part it is, and its key."""
    shortened = name[:_NAME_CHARACTERS].encode("utf-8", "replace").decode()
    own = {"file": shortened, "part": title, "submission": key}
    metadata = dict(given)
    for field, value in own.items():
        if value and field not in metadata and len(metadata) < _MAX_PAIRS:
            metadata[field] = value
    return metadata
