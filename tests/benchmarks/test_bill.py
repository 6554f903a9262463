"""The arithmetic of the bill and the profile, and one job through the deployed handlers."""

import json
import operator
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.harness.processes import made_in_new_process
from benchmarks.harness.profiling import _PARTS, OTHER, sort
from benchmarks.sections.submit import largest_job
from benchmarks.world.aws_stand_in.queues import Counts as QueueCounts
from benchmarks.world.aws_stand_in.server import AwsStandIn, CallCounts
from benchmarks.world.aws_stand_in.table import Counts as TableCounts
from benchmarks.world.functions import Functions, Invocation, job_body
from benchmarks.world.prices import cost
from benchmarks.world.served_images import served_images, urls
from benchmarks.world.usage import Usage, billed_seconds, other_charges, request_charges
from local.emulator.template import Template
from retail_pulse.measuring import fetch
from retail_pulse.use_cases import finishing

COMMON = Path(__file__).parents[2] / "layers" / "common"
PRICES = json.loads((Path(__file__).parents[2] / "benchmarks" / "world" / "prices.json").read_text())


class PatientFunctions(Functions):
    """Functions that save each chunk once and update each job once, however slow the machine is."""

    def _module(self, name: str) -> ModuleType:
        module = super()._module(name)
        if name == "process":
            module.measurer._max_unsaved_seconds = 60.0
            finishing._MAX_WAIT_SECONDS = 60.0
        return module


def invocation(function: str, seconds: float, cpu_seconds: float, sent_bytes: int = 0) -> Invocation:
    return Invocation(function, seconds, cpu_seconds, log_bytes=100, messages=0, answer={}, sent_bytes=sent_bytes)


def test_every_price_has_its_source_at_aws() -> None:
    assert PRICES["region"] == "us-east-1"
    assert all(price["source"].startswith("https://aws.amazon.com/") for price in PRICES["prices"].values())
    assert cost("dynamodb_write_unit", 2_000_000) == 1.25


@pytest.mark.parametrize(("megabytes", "seconds"), [(1769, 1.0), (3008, 1.0), (884.5, 1.5), (442.25, 2.5)])
def test_a_share_of_a_processor_stretches_cpu_time(megabytes: int, seconds: float) -> None:
    assert billed_seconds(invocation("process", 1.0, 0.5), megabytes) == seconds


def test_time_is_billed_in_whole_milliseconds() -> None:
    assert billed_seconds(invocation("process", 0.0101, 0.0), 512) == 0.011


def test_the_bill_adds_up() -> None:
    counts = CallCounts(
        dynamodb={
            ("PutItem", "JOB"): TableCounts(calls=1, items=1, write_units=3, units_of_index=Counter(by_client=2)),
            ("GetItem", "JOB"): TableCounts(calls=2, items=2, read_units=4),
        },
        sqs={"SendMessageBatch": QueueCounts(calls=1, requests=2, messages=9)},
        stored={"JOB": (1, 5000)},
        max_at_once=1,
    )
    calls = [invocation("submit", 1.0, 0.0, sent_bytes=600_000), invocation("process", 2.0, 0.0)]
    usage = Usage.of(1000, counts, calls, {"submit": 1024, "process": 512})
    of_the_run = {
        "DynamoDB writes": 5 * 0.625e-6, "DynamoDB reads": 4 * 0.125e-6, "SQS": 2 * 0.5e-6, "API Gateway": 2 * 1e-6,
        "Lambda, time": 2.0 * 0.0000133334, "Lambda, requests": 2 * 0.2e-6,
    }  # fmt: skip
    assert request_charges(usage) == pytest.approx({name: 1000 * usd for name, usd in of_the_run.items()})
    others = other_charges(usage)
    assert (others["storage, per month"], others["traces, at most"]) == pytest.approx((0.005 * 0.25, 0.01))


def test_a_job_goes_through_the_deployed_handlers_and_each_call_is_counted() -> None:
    with (
        made_in_new_process(AwsStandIn, seconds=0) as aws,
        served_images(2_000, wait=0) as base,
        made_in_new_process(PatientFunctions, aws.url(), DelayMinSeconds="0", DelayMaxSeconds="0") as functions,
    ):
        assert functions.authorize().answer["isAuthorized"]
        images = urls(base, 60)
        assert {len(url) for url in images} == {70}
        assert functions.validate(job_body(images)) > 0
        submitted = functions.submit(job_body(images))
        assert aws.messages() == 2
        (processed,) = functions.process(2)
        status = functions.status(submitted.body["job_id"])
        counts = aws.counts()
    assert status.body["status"] == "completed"
    assert (processed.messages, processed.log_bytes > 100, processed.cpu_seconds > 0) == (2, True, True)
    calls = {name: (each.calls, each.items) for name, each in counts.dynamodb.items() if not name[1].startswith("KEY")}
    assert calls == {
        ("BatchWriteItem", "CHUNK"): (1, 2), ("BatchGetItem", "CHUNK"): (1, 2), ("UpdateItem", "CHUNK"): (2, 2),
        ("PutItem", "JOB"): (1, 1), ("UpdateItem", "JOB"): (1, 1), ("GetItem", "JOB"): (1, 1),
        ("BatchWriteItem", "CLIENT"): (1, 15), ("UpdateItem", "USAGE"): (1, 1),
    }  # fmt: skip
    queue_calls = {name: each.calls for name, each in counts.sqs.items()}
    assert queue_calls == dict.fromkeys(
        ("SendMessageBatch", "ReceiveMessage", "ChangeMessageVisibilityBatch", "DeleteMessageBatch"), 1
    )


def test_the_largest_job_fits_into_one_call() -> None:
    images = largest_job()
    event = json.dumps({"body": job_body(urls("https://images.example.com", images))})
    assert 0.99 < len(event) / (6 * 1024 * 1024) < 1


def test_samples_are_sorted_by_the_purpose_of_the_code() -> None:
    worker = "Thread.run (/x/threading.py:9);work (/x/retail_pulse/use_cases/image_pool.py:89)"
    download = f"{worker};Fetcher.measure (/x/retail_pulse/measuring/fetch.py:90)"
    stacks = [
        f"{worker} 3",
        f"{download};ImageAdapter.send (/x/measuring/download/adapter.py:80);connect (/x/urllib3/connection.py:1) 5",
        f"{download};Fetcher._measure_body (/x/fetch.py:130);block (/x/retail_pulse/measuring/download/sockets.py:1) 7",
        f"{download};Fetcher._measure_body (/x/fetch.py:130);feed (/x/retail_pulse/measuring/formats/size.py:1) 2",
        "handler (/x/app.py:64);put (/x/retail_pulse/storage/jobs_table.py:9);s (/x/botocore/serialize.py:4) 11",
        "main (/x/y.py:1) 1",
        # The functions run in a process of this module's pool.
        "_process_worker (/x/concurrent/futures/process.py:9);submit (/x/retail_pulse/api/submit_body.py:2) 4",
    ]
    assert sort(stacks) == {
        "threads and delays": 3,
        "download: request and response headers": 5,
        "download: reading the body": 7,
        "download: size and end marks": 2,
        "storage: writing the request (botocore)": 11,
        "validating the body (pydantic)": 4,
        OTHER: 1,
    }


def test_a_profile_names_code_that_exists() -> None:
    ours = [part for _, parts in _PARTS for part in parts if part.startswith("retail_pulse/")]
    assert [part for part in ours if not (COMMON / part).exists()] == []
    methods = [part.removesuffix(" (") for _, parts in _PARTS for part in parts if part.endswith(" (")]
    assert [name for name in methods if operator.attrgetter(name)(fetch).__qualname__ != name] == []


def test_memory_comes_from_the_template() -> None:
    assert Template(parameters={"ProcessMemoryMegabytes": "768"}).memory_megabytes("ProcessFunction") == 768
    assert Template().memory_megabytes("SubmitFunction") == 1024
