"""The API against its own description: schemathesis draws requests from docs/openapi.json for the deployed handlers.

FUZZ_CASES is the minimum number of requests, FUZZ_SEED their seed, FUZZ_SECONDS the maximum time. `make fuzz` sets the
first two.
"""

import copy
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import boto3
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.generation import GenerationMode
from werkzeug.serving import WSGIRequestHandler, make_server

from local.client import submission
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.environment import FUNCTIONS
from local.lambda_host.table import TABLE
from retail_pulse.domain.api_keys import new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable
from retail_pulse.storage.store_master import StoreMaster
from tests.functions.service import Service
from tests.support.description import DESCRIPTION, routes
from tests.support.gateway import Gateway

KEY, CLIENT = new_key(), "fuzzer"
CASES = int(os.environ.get("FUZZ_CASES", "500"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "1200"))
# Of the area with the fewest stores: a report reads each store of its area.
AREA = "7100163"
STORE = next(store.store_id for store in StoreMaster.load().stores_of_area(AREA))
# What the texts of the lists can be.
TIMES = ("2026-01-31", "2026-01-31T09:30:00Z", "2030-01-01T00:00:00+05:30")
KNOWN = dict.fromkeys(("from", "to", "startdate", "enddate"), TIMES) | {
    "area": (AREA,), "store_id": (STORE, "nowhere"), "storeid": (STORE,),
}  # fmt: skip
OPERATIONS = sum(len(methods) for methods in DESCRIPTION["paths"].values())


@pytest.fixture
def gateway(service: Service) -> Gateway:
    return Gateway(
        {FUNCTIONS[name]: service.load(name).handler for name in ("authorize", "submit", "status", "console")}
    )


@pytest.fixture
def jobs(service: Service) -> dict[str, str]:
    """The IDs of one job per status."""
    ids = {}
    with ImageServer() as server:
        good, missing = server.add("/a.png", make_image(Format.PNG, 64, 48)), server.url("/missing.png")
        for status, urls in (("completed", [good]), ("failed", [missing, good]), ("ongoing", [good])):
            code, answer = service.post(body=submission((STORE, urls)), by={"client": CLIENT})
            assert code == 201
            ids[status] = str(answer["job_id"])
            if status != "ongoing":
                service.deliver()
    return ids


class Quiet(WSGIRequestHandler):
    """Logs nothing; the gateway counts the requests."""

    def log(self, *_: object) -> None:
        pass


@pytest.fixture
def url(gateway: Gateway) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, gateway, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def described(url: str, jobs: dict[str, str], seed: int) -> Any:
    """Return the description with settings for schemathesis."""
    ApiKeysTable(boto3.client("dynamodb"), TABLE).issue(KEY, CLIENT)
    settings = {
        "seed": seed,
        "base-url": url,
        "headers": {"x-api-key": KEY},
        "continue-on-failure": True,
        # Per operation and phase that draws; the boundaries of the schemas come on top. The simplest operations have
        # no more than 200 different cases.
        "generation": {"max-examples": min(200, -(-CASES // (3 * OPERATIONS))), "no-shrink": True},
        "checks": {
            # An HTTP API returns 404 for a method that a path does not have, not 405.
            "unsupported_method": {"enabled": False},
            # JSON Schema cannot express that count is the number of visits, or that lengths are in bytes.
            "positive_data_acceptance": {"enabled": False},
        },
    }
    # It changes what it gets, which other tests of this process read.
    schema = schemathesis.openapi.from_dict(copy.deepcopy(DESCRIPTION), config=SchemathesisConfig.from_dict(settings))

    @schema.hook
    def before_generate_case(_: Any, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        ids = st.sampled_from([None, *jobs.values()])
        known = st.fixed_dictionaries({name: st.sampled_from([None, *values]) for name, values in KNOWN.items()})
        return st.tuples(strategy, ids, known).map(lambda drawn: meaningful(*drawn))

    return schema


def meaningful(case: Any, job: str | None, known: dict[str, str | None]) -> Any:
    """Change a valid case so that it is not refused: set the count of visits, use an existing job, and known values."""
    if case.meta is None or case.meta.generation.mode is GenerationMode.NEGATIVE:
        return case
    if isinstance(case.body, dict) and "visits" in case.body:
        case.body["count"] = len(case.body["visits"])
    if job is not None:
        for where, name in ((case.path_parameters, "job_id"), (case.query, "jobid")):
            if name in where:
                where[name] = job
    # A drawn text is hardly ever a date or a store. A parameter that is absent stays absent.
    case.query.update({name: value for name, value in known.items() if value is not None and name in case.query})
    return case


def failures(schema: Any, until: float) -> Iterator[str]:
    """Run the examples, boundaries and drawn cases of every operation; yield each wrong response with its request."""
    stream = from_schema(schema).execute()
    for happened in stream:
        if time.monotonic() > until:
            stream.stop()
        if isinstance(happened, events.NonFatalError | events.FatalError):
            yield f"{happened!r}"
        if not isinstance(happened, events.ScenarioFinished):
            continue
        for case_id, checks in happened.recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    curl = happened.recorder.cases[case_id].value.as_curl_command()
                    yield f"{check.name}: {failure.title}: {failure.message}\n{curl[:2000]}"


@pytest.mark.fuzz
def test_every_response_is_described(
    url: str, jobs: dict[str, str], gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    until = time.monotonic() + SECONDS
    found: list[str] = []
    # Seed by seed, until there were enough requests.
    for seed in count(SEED):
        found += failures(described(url, jobs, seed), until)
        if found or len(gateway.answered) >= CASES or time.monotonic() > until:
            break
    counts = Counter(status for _, status in gateway.answered)
    by_status = dict(sorted(counts.items()))
    with capsys.disabled():
        print(f"\nAPI, seeds from {SEED}: {counts.total()} requests; responses by status: {by_status}")

    assert not found, "\n\n".join(found)
    assert counts.total() >= CASES
    assert max(counts) < 500
    # Some requests to every route were not refused.
    succeeded = {asked for asked, status in gateway.answered if status < 400}
    for method, path in (*routes(with_key=True), *routes(with_key=False)):
        pattern = re.compile(f"{method} {path.replace('{job_id}', '[0-9]+')}")
        assert any(map(pattern.fullmatch, succeeded)), pattern
    assert {400, 404, 409} <= counts.keys()
