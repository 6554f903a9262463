"""The queue and its function: times that must fit together, and where a message ends."""

from typing import Any

import pytest

from tests.infra import sam

# The time of an invocation that functions/process reserves for its last writes.
RESERVE_SECONDS = 15
# Three deliveries before a message counts as poison, three exclusive claims of its chunk, and one that gives up:
# docs/reliability.md.
MIN_RECEIVES = 7

Bodies = dict[str, sam.Body]
TIMEOUTS = [int(value) for value in sam.read()["Parameters"]["ProcessTimeoutSeconds"]["AllowedValues"]]
every_timeout = pytest.mark.parametrize("timeout", TIMEOUTS)


@pytest.fixture
def queues(template: sam.Body) -> Bodies:
    return sam.of_type(template["Resources"], sam.QUEUE)


@pytest.fixture
def source(functions: Bodies) -> sam.Body:
    """The SQS event of the process function."""
    events = [event for function in functions.values() for event in function.get("Events", {}).values()]
    (found,) = [event["Properties"] for event in events if event["Type"] == "SQS"]
    properties: sam.Body = found
    return properties


def dead_letters(queues: Bodies) -> dict[str, str]:
    """Return the dead-letter queue of each queue that has one."""
    redrives = {name: queue["RedrivePolicy"] for name, queue in queues.items() if "RedrivePolicy" in queue}
    return {name: sam.logical_id(redrive["deadLetterTargetArn"]) for name, redrive in redrives.items()}


def seconds(value: Any, timeout: int) -> int:
    return int(sam.Template(parameters={"ProcessTimeoutSeconds": str(timeout)}).resolve(value))


@every_timeout
class TestForEveryAllowedTimeout:
    def test_a_message_stays_hidden_for_six_timeouts(self, queues: Bodies, functions: Bodies, timeout: int) -> None:
        assert seconds(functions["ProcessFunction"]["Timeout"], timeout) == timeout
        assert seconds(queues["ChunkQueue"]["VisibilityTimeout"], timeout) >= 6 * timeout

    def test_a_job_stalls_only_after_its_messages_were_delivered_again(
        self, queues: Bodies, functions: Bodies, timeout: int
    ) -> None:
        stall = functions["SubmitFunction"]["Environment"]["Variables"]["STALL_SECONDS"]
        assert seconds(stall, timeout) > seconds(queues["ChunkQueue"]["VisibilityTimeout"], timeout)

    def test_the_longest_image_fits_into_one_invocation(self, template: sam.Body, timeout: int) -> None:
        parameters = template["Parameters"]
        longest = parameters["ImageDeadlineSeconds"]["MaxValue"] + parameters["DelayMaxSeconds"]["MaxValue"]
        assert longest + RESERVE_SECONDS < timeout

    def test_the_last_delivery_is_before_the_message_expires(
        self, template: sam.Body, queues: Bodies, timeout: int
    ) -> None:
        queue, deliveries = queues["ChunkQueue"], template["Parameters"]["MaxReceiveCount"]["MaxValue"]
        assert deliveries * seconds(queue["VisibilityTimeout"], timeout) < queue["MessageRetentionPeriod"]


def test_the_mapping_has_exactly_the_allowed_timeouts(template: sam.Body) -> None:
    assert sorted(template["Mappings"]["ProcessTimeout"]) == sorted(map(str, TIMEOUTS))


class TestDeadLetters:
    def test_every_queue_but_the_last_has_a_dead_letter_queue(self, queues: Bodies) -> None:
        last = set(dead_letters(queues).values())
        assert last <= set(queues)
        assert queues.keys() - dead_letters(queues).keys() == last

    def test_are_kept_longer_than_messages(self, queues: Bodies) -> None:
        for name, last in dead_letters(queues).items():
            assert queues[last]["MessageRetentionPeriod"] > queues[name]["MessageRetentionPeriod"]

    def test_come_only_after_the_deliveries_that_a_poison_message_needs(
        self, template: sam.Body, queues: Bodies
    ) -> None:
        assert queues["ChunkQueue"]["RedrivePolicy"]["maxReceiveCount"] == {"Ref": "MaxReceiveCount"}
        assert template["Parameters"]["MaxReceiveCount"]["MinValue"] >= MIN_RECEIVES


def test_queues_are_encrypted(queues: Bodies) -> None:
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
        mapping = sam.only(transformed, "AWS::Lambda::EventSourceMapping")
        assert mapping["FunctionResponseTypes"] == source["FunctionResponseTypes"]
        assert mapping["ScalingConfig"] == source["ScalingConfig"]
        assert sam.logical_id(mapping["EventSourceArn"]) == "ChunkQueue"
        assert sam.called(transformed, mapping["FunctionName"]) == "ProcessFunction"

    def test_needs_no_batching_window_and_so_takes_at_most_ten_messages(
        self, template: sam.Body, source: sam.Body
    ) -> None:
        assert source["BatchSize"] == {"Ref": "ProcessBatchSize"}
        assert template["Parameters"]["ProcessBatchSize"]["MaxValue"] <= 10
        assert "MaximumBatchingWindowInSeconds" not in source

    def test_its_function_reserves_no_concurrency(self, functions: Bodies) -> None:
        assert "ReservedConcurrentExecutions" not in functions["ProcessFunction"]
