"""The built functions in Lambda containers, driven by the real SAM CLI."""

import json
import re
import subprocess
from typing import Any

import pytest

from local.checkout import ARCHITECTURE
from local.client import ApiClient, submission
from local.lambda_host.events import authorizer_event, event, sqs_event
from local.lambda_host.poller import InvocationError
from local.sam import build
from local.sam.stage import SamLocalStage, containers
from retail_pulse.storage.jobs_table import JobsTable
from tests.sam.conftest import ReachableImages
from tools.artefacts import Build

pytestmark = pytest.mark.sam_local

STORE, OTHER_STORE = "S00339218", "S01408764"
ONE_IMAGE = submission((STORE, ["http://a.example/1.jpg"]))


def table(stage: SamLocalStage) -> JobsTable:
    return JobsTable(stage.stack.client("dynamodb"), stage.stack.table_name)


@pytest.fixture(autouse=True)
def empty_queue(stage: SamLocalStage) -> None:
    """Remove messages that another test left in the queue."""
    stage.stack.client("sqs").purge_queue(QueueUrl=stage.stack.queue_url)


class TestTheContract:
    def test_health_needs_no_key(self, stage: SamLocalStage) -> None:
        with ApiClient(stage.url, None) as anonymous:
            assert anonymous.get("/api/health").json() == {"status": "ok"}

    def test_the_console_needs_no_key_and_neither_do_its_files(self, stage: SamLocalStage) -> None:
        with ApiClient(stage.url, None) as anonymous:
            page = anonymous.get("/")
            assert page.headers["Content-Type"] == "text/html; charset=utf-8"
            (script,) = re.findall(r'src="(/console/[^"]+)"', page.text)
            assert anonymous.get(script).headers["Content-Type"] == "text/javascript; charset=utf-8"

    @pytest.mark.parametrize(("key", "status"), [(None, 401), ("nobody-has-this-key", 403)])
    def test_no_key_is_401_and_an_unknown_one_403(self, stage: SamLocalStage, key: str | None, status: int) -> None:
        with ApiClient(stage.url, key) as stranger:
            assert stranger.get("/api/status", jobid=1).status_code == status
            assert stranger.post("/api/submit", ONE_IMAGE).status_code == status

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"count": 3}, "count is 3; the number of visits is 1"),
            ({"visits": []}, "visits must not be empty"),
            (
                {"visits": [{"image_url": ["http://a.example/1.jpg"], "visit_time": "t"}]},
                "visits[0].store_id is missing",
            ),
        ],
    )
    def test_a_wrong_body_is_400_and_names_the_mistake(
        self, client: ApiClient, change: dict[str, Any], error: str
    ) -> None:
        answer = client.post("/api/submit", ONE_IMAGE | change)
        refusal = answer.json()
        assert (answer.status_code, refusal["error"], refusal["code"]) == (400, error, "invalid_request")
        assert [f"{problem['place']} {problem['rule']}" for problem in refusal["errors"]] == [error]

    @pytest.mark.parametrize("query", [{"jobid": "1"}, {"jobid": "no-number"}, {}])
    def test_the_status_of_an_unknown_job_is_400_and_empty(self, client: ApiClient, query: dict[str, str]) -> None:
        answer = client.get("/api/status", **query)
        assert (answer.status_code, answer.json()) == (400, {})

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_a_job_is_accepted_and_ongoing(self, client: ApiClient, slash: str) -> None:
        accepted = client.post(f"/api/submit{slash}", ONE_IMAGE)
        assert accepted.status_code == 201
        job = accepted.json()["job_id"]
        status = client.get(f"/api/status{slash}", jobid=job)
        assert (status.status_code, status.json()) == (200, {"status": "ongoing", "job_id": str(job)})


def test_process_by_sam_local_invoke_ends_a_job(
    stage: SamLocalStage, client: ApiClient, images: ReachableImages, picture: bytes
) -> None:
    # GIVEN a job with an image and a text file, and the message that was sent for it
    good, text = images.add("/good.jpg", picture), images.add("/text.jpg", b"text")
    job = client.submit((STORE, [good]), (OTHER_STORE, [text]))
    messages = stage.poller().receive()
    assert len(messages) == 1

    # WHEN process is invoked with the event that SQS would send
    answer = stage.invoke_once("ProcessFunction", sqs_event(messages, stage.stack.queue_url))

    # THEN nothing is delivered again, and the job has ended
    assert answer == {"batchItemFailures": []}
    status = client.get("/api/status", jobid=job).json()
    assert status["status"] == "failed"
    assert [entry["store_id"] for entry in status["error"]] == [OTHER_STORE]


def test_a_job_passes_through_the_queue_and_its_results_can_be_read(
    stage: SamLocalStage, client: ApiClient, images: ReachableImages, picture: bytes
) -> None:
    url = images.add("/good.jpg", picture)
    job = client.submit((STORE, [url, url]), (OTHER_STORE, [url]))

    assert stage.poller().poll() == 1

    assert client.get("/api/status", jobid=job).json() == {"status": "completed", "job_id": str(job)}
    # The store names come from the store master in the build.
    rows = list(client.results(job))
    assert [(row["visit"], row["image"], row["perimeter"]) for row in rows] == [(0, 0, 420), (0, 1, 420), (1, 0, 420)]
    assert all(row["store_name"] for row in rows)
    # The processed messages were deleted.
    sqs = stage.stack.client("sqs")
    counts = sqs.get_queue_attributes(QueueUrl=stage.stack.queue_url, AttributeNames=["All"])["Attributes"]
    assert (counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


def test_reprocess_sends_lost_messages_again_on_a_schedule_event(stage: SamLocalStage, client: ApiClient) -> None:
    # GIVEN a job whose message is lost, and that is due
    job_id = client.submit((STORE, ["http://a.example/1.jpg"]))
    stage.stack.client("sqs").purge_queue(QueueUrl=stage.stack.queue_url)
    job = table(stage).job("local", job_id)
    assert job is not None
    table(stage).mark_due(job, int(job.created_at.timestamp()))

    # WHEN the schedule triggers reprocess
    report = stage.invoke("ReprocessFunction", event("reprocess"))

    # THEN the message is sent again
    assert (report["swept"], report["sent"]) == (1, 1)
    assert [json.loads(message["Body"])["job_id"] for message in stage.poller().receive()] == [job_id]


def test_sam_local_start_lambda_invokes_a_function_for_boto3(stage: SamLocalStage) -> None:
    answer = stage.invoke("AuthorizeFunction", authorizer_event(stage.stack.api_key))
    assert answer["isAuthorized"] is True
    assert answer["context"]["client"] == "local"


def test_a_failing_function_is_not_a_response(stage: SamLocalStage) -> None:
    with pytest.raises(InvocationError, match="AuthorizeFunction"):
        stage.invoke("AuthorizeFunction", {"version": "2.0"})


def test_the_functions_are_the_built_ones(stage: SamLocalStage, client: ApiClient) -> None:
    # GIVEN a build without faults, also in its bytecode, store master and imports
    assert list(Build(build.FOLDER).faults(ARCHITECTURE)) == []
    client.get("/api/health")

    # THEN the running containers use its folders and not the checkout
    (container, *_) = containers("StatusFunction")
    script = "import retail_pulse.domain.jobs as j, requests; print(j.__file__, j.__cached__); print(requests.__file__)"
    environment = ["--env", "PYTHONPATH=/opt/python", "--env", "PYTHONDONTWRITEBYTECODE=1"]
    shown = subprocess.run(
        ["docker", "exec", *environment, container, "python3.13", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.splitlines() == [
        "/opt/python/retail_pulse/domain/jobs.py /opt/python/retail_pulse/domain/__pycache__/jobs.cpython-313.pyc",
        "/opt/python/requests/__init__.py",
    ]
