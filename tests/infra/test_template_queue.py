"""The queue and its function: times that must fit together, and where a message ends."""

from typing import Any

import pytest

from tests.infra import sam

# The time of an invocation that functions/process reserves for its last writes.
RESERVE_SECONDS = 10
# Three deliveries before a message counts as poison, three exclusive claims of its chunk, and one that gives up:
# docs/reliability.md.
MIN_RECEIVES = 7

TIMEOUTS = [int(value) for value in sam.read()["Parameters"]["ProcessTimeoutSeconds"]["AllowedValues"]]
every_timeout = pytest.mark.parametrize("timeout", TIMEOUTS)


@pytest.fixture
def queues(template: sam.Body) -> dict[str, sam.Body]:
    return sam.of_type(template["Resources"], sam.QUEUE)


@pytest.fixture
def source(functions: dict[str, sam.Body]) -> sam.Body:
    """The SQS event of the process function."""
    events = [e["Properties"] for f in functions.values() for e in f.get("Events", {}).values() if e["Type"] == "SQS"]
    (found,) = events
    properties: sam.Body = found
    return properties


def seconds(value: Any, timeout: int) -> int:
    return int(sam.Template(parameters={"ProcessTimeoutSeconds": str(timeout)}).resolve(value))


@every_timeout
class TestForEveryAllowedTimeout:
    def test_a_message_stays_hidden_for_six_timeouts(self, template: sam.Body, timeout: int) -> None:
        queue = template["Resources"]["ChunkQueue"]["Properties"]
        function = template["Resources"]["ProcessFunction"]["Properties"]

        assert seconds(function["Timeout"], timeout) == timeout
        assert seconds(queue["VisibilityTimeout"], timeout) >= 6 * timeout

    def test_a_job_stalls_only_after_its_messages_were_delivered_again(self, template: sam.Body, timeout: int) -> None:
        visibility = template["Resources"]["ChunkQueue"]["Properties"]["VisibilityTimeout"]
        stall = template["Resources"]["SubmitFunction"]["Properties"]["Environment"]["Variables"]["STALL_SECONDS"]

        assert seconds(stall, timeout) > seconds(visibility, timeout)

    def test_the_longest_image_fits_into_one_invocation(self, template: sam.Body, timeout: int) -> None:
        parameters = template["Parameters"]
        longest = parameters["ImageDeadlineSeconds"]["MaxValue"] + parameters["DelayMaxSeconds"]["MaxValue"]

        assert longest + RESERVE_SECONDS < timeout


def test_the_mapping_has_exactly_the_allowed_timeouts(template: sam.Body) -> None:
    assert sorted(template["Mappings"]["ProcessTimeout"]) == sorted(map(str, TIMEOUTS))


class TestDeadLetters:
    def test_every_queue_but_the_last_has_a_dead_letter_queue(self, queues: dict[str, sam.Body]) -> None:
        last = {
            sam.logical_id(q["RedrivePolicy"]["deadLetterTargetArn"]) for q in queues.values() if "RedrivePolicy" in q
        }

        assert last <= set(queues)
        assert {name for name, queue in queues.items() if "RedrivePolicy" not in queue} == last

    def test_are_kept_longer_than_messages(self, queues: dict[str, sam.Body]) -> None:
        for queue in queues.values():
            if "RedrivePolicy" in queue:
                letters = queues[sam.logical_id(queue["RedrivePolicy"]["deadLetterTargetArn"])]
                assert letters["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]

    def test_come_only_after_the_deliveries_that_a_poison_message_needs(
        self, template: sam.Body, queues: dict[str, sam.Body]
    ) -> None:
        assert queues["ChunkQueue"]["RedrivePolicy"]["maxReceiveCount"] == {"Ref": "MaxReceiveCount"}
        assert template["Parameters"]["MaxReceiveCount"]["MinValue"] >= MIN_RECEIVES


def test_queues_are_encrypted(queues: dict[str, sam.Body]) -> None:
    assert [name for name, queue in queues.items() if queue.get("SqsManagedSseEnabled") is not True] == []


class TestTheEventSource:
    def test_retries_single_messages_of_a_batch(self, source: sam.Body) -> None:
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]

    def test_bounds_its_concurrency_at_the_source(self, template: sam.Body, source: sam.Body) -> None:
        assert source["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "ProcessConcurrency"}}
        # Lambda's bounds.
        assert template["Parameters"]["ProcessConcurrency"]["MinValue"] >= 2
        assert template["Parameters"]["ProcessConcurrency"]["MaxValue"] <= 1000

    def test_reaches_cloudformation_as_it_is_written(self, transformed: sam.Body, source: sam.Body) -> None:
        (mapping,) = sam.of_type(transformed, "AWS::Lambda::EventSourceMapping").values()

        assert mapping["FunctionResponseTypes"] == source["FunctionResponseTypes"]
        assert mapping["ScalingConfig"] == source["ScalingConfig"]
        assert sam.logical_id(mapping["EventSourceArn"]) == "ChunkQueue"
        assert sam.logical_id(mapping["FunctionName"]) == "ProcessFunction"

    def test_needs_no_batching_window_and_so_takes_at_most_ten_messages(
        self, template: sam.Body, source: sam.Body
    ) -> None:
        assert source["BatchSize"] == {"Ref": "ProcessBatchSize"}
        assert template["Parameters"]["ProcessBatchSize"]["MaxValue"] <= 10
        assert "MaximumBatchingWindowInSeconds" not in source

    def test_its_function_reserves_no_concurrency(self, functions: dict[str, sam.Body]) -> None:
        assert "ReservedConcurrentExecutions" not in functions["ProcessFunction"]
