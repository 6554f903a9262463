"""What lists read of the table: a client's jobs by the time of their submission."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.storage import items
from retail_pulse.storage.table import Table
from retail_pulse.storage.values import expression_values

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ReadsTable:
    """Reads of one client at a time. The DynamoDB client needs room for sixteen connections.

    Every method raises `StorageUnavailableError` when DynamoDB does not accept the request, however often it is
    repeated.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._table = Table(client, name)

    def listed_jobs(self, client: str, first: int, last: int, page: int) -> Iterator[tuple[int, JobStatus]]:
        """Yield id and status of a client's jobs, both ids included, newest first.

        The index may lag behind, so a new job can be missing for a moment, and a status can be an earlier one.
        A request reads so many of them as a page has.
        """
        found = self._table.query(
            "client = :client AND job_id BETWEEN :first AND :last",
            expression_values(client=client, first=first, last=last),
            index="by_client", page=page, descending=True,
        )  # fmt: skip
        for item in found:
            yield int(item["job_id"]["N"]), JobStatus(item["status"]["S"])

    def jobs(self, client: str, job_ids: Sequence[int]) -> list[Job]:
        """Read some of a client's jobs, in the order of their ids as given; those that do not exist are left out."""
        keys = [items.job_key(client, job_id) for job_id in job_ids]
        found = {job.job_id: job for job in map(items.job_from, self._table.read_all(keys) if keys else ())}
        return [found[job_id] for job_id in job_ids if job_id in found]
