"""The gateway between clients and the functions, over HTTP."""

from urllib.parse import urlsplit

import pytest

from local.client import ApiClient
from local.emulator.gateway import LAMBDA_BYTES
from local.images.server import End, ImageServer
from local.stack.process import StackProcess
from tests.support.waiting import END_SECONDS

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api"), ("GET", "/health"), ("GET", "/favicon.ico"), ("PUT", "/api/submit"),
        ("DELETE", "/api/jobs/1"), ("OPTIONS", "/api/submit"), ("POST", "/docs"), ("POST", "/"),
        # The emulator's own routes, and a path that it would mistake for a bucket.
        ("GET", "/_ministack/health"), ("POST", "/_ministack/reset"), ("GET", "/_localstack/health"),
        ("GET", "/_aws/execute-api/x/$default/api/health"), ("GET", "/2015-03-31/functions/"), ("PUT", "/bucket"),
    ],
)  # fmt: skip
def test_any_other_path_than_the_apis_routes_is_not_found(client: ApiClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_a_head_request_is_not_found_either(client: ApiClient) -> None:
    assert client.request("HEAD", "/api/health").status_code == 404


def test_a_body_that_lambda_would_refuse_is_too_large(client: ApiClient) -> None:
    answer = client.request("POST", "/api/submit", data=b" " * (LAMBDA_BYTES + 1), headers=JSON)
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})


def test_a_body_of_unknown_length_is_refused_when_it_is_too_large(client: ApiClient) -> None:
    pieces = (b" " * (1024 * 1024) for _ in range(7))
    assert client.request("POST", "/api/submit", data=pieces, headers=JSON).status_code == 413


def test_the_limit_applies_to_the_body_as_the_lambda_event_quotes_it(client: ApiClient) -> None:
    # Four million quotes are eight million bytes in a JSON string; four million spaces stay four.
    quotes = client.request("POST", "/api/submit", data=b'"' * 4_000_000, headers=JSON)
    spaces = client.request("POST", "/api/submit", data=b" " * 4_000_000, headers=JSON)

    assert quotes.status_code == 413
    assert (spaces.status_code, list(spaces.json())) == (400, ["error", "code", "errors"])


@pytest.mark.parametrize("host", ["shop.example", "127.0.0.1.shop.example", "shop.example:8080", ""])
def test_a_foreign_host_name_that_points_to_this_machine_is_refused(client: ApiClient, host: str) -> None:
    assert client.request("GET", "/api/health", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "stack.localhost", "[::1]:1", "127.0.0.1"])
def test_the_names_of_this_machine_are_served(client: ApiClient, host: str) -> None:
    assert client.request("GET", "/api/health", headers={"host": host}).status_code == 200


def test_aws_sdks_are_served_on_the_same_port(stack: StackProcess) -> None:
    table = stack.client("dynamodb").describe_table(TableName=stack.table_name)["Table"]
    functions = stack.client("lambda").list_functions()["Functions"]
    queues = stack.client("sqs").list_queues()["QueueUrls"]

    assert table["TableStatus"] == "ACTIVE"
    assert {urlsplit(stack.endpoint_url).netloc} == {urlsplit(queue).netloc for queue in queues}
    assert set(queues) == {stack.queue_url, stack.dead_letter_queue_url}
    assert {function["Runtime"] for function in functions} == {"python3.13"}


def test_settings_of_the_template_reach_the_functions_as_on_aws(stack: StackProcess) -> None:
    found = [function["Environment"]["Variables"] for function in stack.client("lambda").list_functions()["Functions"]]
    variables = {each["POWERTOOLS_SERVICE_NAME"]: each for each in found}
    (mapping,) = stack.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    expiry = stack.client("dynamodb").describe_time_to_live(TableName=stack.table_name)["TimeToLiveDescription"]

    # By a mapping and a parameter, and by parameters that the local stack sets.
    assert variables["submit"]["STALL_SECONDS"] == "900"
    assert variables["process"]["ALLOWED_NETWORKS"] == "127.0.0.0/8"
    assert variables["process"]["ALLOWED_PORTS"] == "1-65535"
    assert variables["process"]["OWN_HOSTS"].endswith(f".amazonaws.com,{urlsplit(stack.url).netloc}")
    assert variables["process"]["CONTACT_URL"] == f"{stack.url}/docs"
    assert (mapping["State"], mapping["ScalingConfig"]) == ("Enabled", {"MaximumConcurrency": 2})
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_the_api_is_not_an_image_server(stack: StackProcess, client: ApiClient, images: ImageServer) -> None:
    docs = f"{stack.url}/docs"
    redirect = f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {docs}\r\n\r\n"
    urls = [docs, docs.replace("127.0.0.1", "127.0.0.1."), images.script("/a.jpg", [redirect.encode(), End()])]

    job = client.submit(("S00339218", urls))
    assert client.wait(job, END_SECONDS)["status"] == "failed"
    assert [row["error"]["code"] for row in client.results(job)] == ["blocked_address"] * len(urls)


def test_all_functions_write_to_one_log(stack: StackProcess, client: ApiClient) -> None:
    client.get("/api/status", jobid=1)

    log = stack.log.read_text(encoding="utf-8")
    assert '"service":"authorize"' in log
    assert '"service":"status"' in log
