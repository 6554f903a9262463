"""A Python client that a generator made from the description, used against the whole stack."""

import csv
import datetime
import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.images.server import ImageServer
from local.stack.process import StackProcess
from tests.support.checkout import text
from tests.support.python_client import PACKAGE, generate
from tests.support.waiting import END_SECONDS, wait_until

STORE = "S00339218"
VISIT = {"store_id": STORE, "image_url": ["http://127.0.0.1/a.jpg"], "visit_time": "2026-11-23T09:30:00Z"}


@pytest.fixture(scope="module", autouse=True)
def _package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(generate(tmp_path_factory.mktemp("client")).parent)
        yield


def part(name: str) -> Any:
    """Return a module of the generated package."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def call(client: Any, operation: str, *path: Any, **arguments: Any) -> tuple[int, Any]:
    """Send a request by the module of an operation; return the status and the model of the body."""
    found = part(f"api.{operation}").sync_detailed(*path, client=client, **arguments)
    return int(found.status_code), found.parsed


def connected(url: str, key: str) -> Any:
    """Return a client with a key, as a context manager."""
    options = {"prefix": "", "auth_header_name": "x-api-key", "raise_on_unexpected_status": True}
    return part("client").AuthenticatedClient(url, token=key, timeout=END_SECONDS, **options)


@pytest.fixture
def client(stack: StackProcess) -> Iterator[Any]:
    with connected(stack.url, stack.api_key) as made:
        yield made


@pytest.fixture
def stranger(stack: StackProcess) -> Iterator[Any]:
    with connected(stack.url, "nobody-has-this-key") as made:
        yield made


@pytest.fixture
def keyless(stack: StackProcess) -> Iterator[Any]:
    with part("client").Client(stack.url, raise_on_unexpected_status=True) as made:
        yield made


def body(*urls: str, **changes: Any) -> Any:
    """Return a submission of one visit."""
    visit = VISIT | {"image_url": list(urls) or VISIT["image_url"]} | changes
    return part("models").SubmitBody.from_dict({"count": 1, "visits": [visit], "metadata": {"campaign": "autumn"}})


def wait(client: Any, job_id: int) -> None:
    """Wait until a job has ended."""
    ongoing = part("models").JobStatus.ONGOING
    wait_until(lambda: call(client, "jobs.get_job_status", jobid=job_id)[1].status != ongoing, END_SECONDS)


@pytest.fixture
def job(client: Any, images: ImageServer, picture: bytes) -> int:
    """A job of a good and a missing image, which has ended."""
    status, submitted = call(client, "jobs.submit_job", body=body(images.add("/a.jpg", picture), images.url("/b.jpg")))
    assert status == 201
    job_id: int = submitted.job_id
    wait(client, job_id)
    return job_id


def test_a_job_is_submitted_and_read_by_models(client: Any, job: int) -> None:
    kinds = part("models").OutcomeKind
    _, status = call(client, "jobs.get_job_status", jobid=job)
    assert (status.status, status.job_id) == (part("models").JobStatus.FAILED, str(job))
    assert [store.store_id for store in status.error] == [STORE]

    _, details = call(client, "jobs.get_job", job)
    assert (details.images.measured, details.images.failed) == (1, 1)
    assert details.metadata["campaign"] == "autumn"
    assert details.created_at <= details.ended_at < details.expires_at

    # The id as a text, as the service writes it.
    _, page = call(client, "jobs.list_results", details.job_id)
    assert [(row.outcome, row.perimeter) for row in page.results] == [(kinds.MEASURED, 420), (kinds.FAILED, None)]
    assert page.results[1].error.code == "http_status"
    _, page = call(client, "jobs.list_results", job, outcome=[kinds.FAILED, kinds.PENDING])
    assert [row.outcome for row in page.results] == [kinds.FAILED]


def test_lists_are_read_by_times_and_pages(client: Any, job: int) -> None:
    now, hour = datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=1)
    _, page = call(client, "jobs.list_jobs", from_=now - hour, to=now + hour, limit=1)
    assert (page.jobs[0].job_id, page.jobs[0].images) == (str(job), 2)
    _, page_of_images = call(client, "reports.list_images", from_=(now - hour).date(), limit=2)
    assert [image.submitted_at for image in page_of_images.images] == [page.jobs[0].created_at] * 2
    _, report = call(client, "reports.list_visits", storeid=STORE, startdate=datetime.date(2026, 1, 1))
    assert {store.store_id for store in report.results} <= {STORE}
    _, usage = call(client, "service.get_usage")
    # The job may have been accepted before midnight.
    assert sum(day.images for day in [usage.today, *usage.days]) >= 2
    assert isinstance(usage.today.date, datetime.date)


def test_a_list_as_csv_is_read_by_the_clients_own_connection(client: Any, job: int) -> None:
    answer = client.get_httpx_client().get(f"/api/jobs/{job}/results", params={"format": "csv"})
    assert [row["perimeter"] for row in csv.DictReader(answer.text.splitlines())] == ["420", ""]


def test_a_failed_image_is_retried_once(client: Any, job: int) -> None:
    status, reopened = call(client, "jobs.retry_job", job)
    assert (status, reopened.status, reopened.run) == (202, "ongoing", 2)
    status, problem = call(client, "jobs.retry_job", job)
    # It depends on whether the run has ended by now.
    assert (status, problem.code) in ((409, "job_is_open"), (429, "retried_too_soon"))
    wait(client, job)


READS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("jobs.get_job_status", (), {"jobid": 1}), ("jobs.list_jobs", (), {}), ("jobs.get_job", (1,), {}),
    ("jobs.list_results", ("1",), {}), ("jobs.retry_job", (1,), {}), ("reports.list_images", (), {}),
    ("reports.list_visits", (), {}), ("service.get_usage", (), {}),
]  # fmt: skip


def test_a_wrong_key_and_a_missing_one_are_errors_with_a_message(stranger: Any, keyless: Any) -> None:
    for operation, path, arguments in [*READS, ("jobs.submit_job", (), {"body": body()})]:
        status, error = call(stranger, operation, *path, **arguments)
        assert (status, error.message) == (403, "Forbidden"), operation
        status, error = call(keyless, operation, *path, **arguments)
        assert (status, error.message) == (401, "Unauthorized"), operation
    assert call(keyless, "service.get_health")[1].status == "ok"


def test_an_unknown_job_is_a_problem_with_a_code(client: Any) -> None:
    for operation in ("jobs.get_job", "jobs.list_results", "jobs.retry_job"):
        for job_id in (1, "1", "no-number"):
            status, problem = call(client, operation, job_id)
            assert (status, problem.status, problem.code) == (404, 404, "job_not_found")
    # As in its contract: 400 and an empty object.
    status, empty = call(client, "jobs.get_job_status", jobid=1)
    assert (status, empty.to_dict()) == (400, {})


def test_all_that_is_wrong_with_a_body_is_listed(client: Any) -> None:
    status, error = call(client, "jobs.submit_job", body=body("", store_id=""))
    assert (status, error.code, len(error.errors)) == (400, "invalid_request", 2)
    assert f"{error.errors[0].place} {error.errors[0].rule}" == error.error


def test_a_parameter_that_breaks_a_rule_is_named(client: Any) -> None:
    status, problem = call(client, "jobs.list_jobs", limit=0)
    assert (status, problem.detail) == (400, "limit must be an integer from 1 to 100")
    status, error = call(client, "reports.list_visits", area="1")
    assert (status, error.error) == (400, "area is not an area of the store master")
    status, error = call(client, "jobs.submit_job", body=body(), idempotency_key="x" * 256)
    assert (status, error.code) == (400, "invalid_request")


def test_the_program_of_the_page_runs(
    stack: StackProcess, images: ImageServer, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", text("docs/clients.md"), re.DOTALL)
    url = images.add("/2.jpg", picture)
    program = program.replace("https://www.gstatic.com/webp/gallery/2.jpg", url)
    exec(program, {"API": stack.url, "KEY": stack.api_key})
    assert capsys.readouterr().out == f"{url} measured 420\n"
