"""What docs/operations.md tells an operator to run, on the whole stack."""

from collections.abc import Iterator

import pytest

from local.client import ApiClient, submission
from local.images.server import ImageServer
from local.stack.process import StackProcess
from tests.functions.service import STORE
from tests.support.waiting import END_SECONDS


class Operator:
    """Finds the resources of a stack by their logical ids, as the page's function `resource` does."""

    def __init__(self, stack: StackProcess) -> None:
        self._stack = stack
        self.functions = stack.client("lambda")

    def resource(self, logical_id: str) -> str:
        found = self._stack.client("cloudformation").describe_stack_resource(
            StackName=self._stack.stack_name, LogicalResourceId=logical_id
        )
        physical: str = found["StackResourceDetail"]["PhysicalResourceId"]
        return physical


@pytest.fixture
def operator(stack: StackProcess) -> Iterator[Operator]:
    """Start everything again after the test."""
    found = Operator(stack)
    yield found
    found.functions.update_event_source_mapping(UUID=found.resource("ProcessFunctionChunks"), Enabled=True)
    found.functions.delete_function_concurrency(FunctionName=found.resource("SubmitFunction"))


def test_processing_is_stopped_and_started_again(
    operator: Operator, client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    mapping = operator.resource("ProcessFunctionChunks")
    operator.functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    job = client.submit((STORE, [images.add("/a.jpg", picture)]))
    assert not images.wait_for_requests(1, timeout=2)
    operator.functions.update_event_source_mapping(UUID=mapping, Enabled=True)
    assert client.wait(job, END_SECONDS)["status"] == "completed"


def test_intake_is_stopped_and_reading_goes_on(operator: Operator, client: ApiClient) -> None:
    operator.functions.put_function_concurrency(
        FunctionName=operator.resource("SubmitFunction"), ReservedConcurrentExecutions=0
    )
    # Which status a throttled function gets is API Gateway's affair; the emulator's is 429.
    answer = client.post("/api/submit", submission((STORE, ["http://127.0.0.1:9/a.png"])))
    assert answer.status_code in {429, 500, 503}
    assert client.get("/api/jobs").status_code == 200
