"""API keys on the whole stack: created, listed and revoked by the command, refused on every route."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import requests

from local.client import ApiClient, submission
from local.stack.process import StackProcess
from retail_pulse.domain.api_keys import KeyScope, hash_key, new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable
from tests.support.description import routes
from tests.support.waiting import END_SECONDS, wait_until
from tools import keys

# A job with this URL ends at once and is not retried, so it leaves nothing in the queue for later tests.
NO_URL = "no-url"
FORBIDDEN = {"message": "Forbidden"}
ROUTES = [(method, path.replace("{job_id}", "1")) for method, path in routes(with_key=True)]


def answers(stack: StackProcess, key: str | None, method: str | None = None) -> list[requests.Response]:
    """Call every route that needs a key, with and without a trailing slash."""
    with ApiClient(stack.url, key) as caller:
        return [
            caller.request(name, path + slash, json={} if name == "POST" else None)
            for name, path in ROUTES
            for slash in ("", "/")
            if method in {None, name}
        ]


def test_a_key_is_created_listed_used_and_revoked(stack: StackProcess, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*arguments: str) -> str:
        assert keys.main([*arguments, "--url", stack.url]) == 0
        return capsys.readouterr().out

    def create(*arguments: str) -> tuple[str, str]:
        output = command("create", "--client", "rotating", *arguments)
        found = re.match(r"API key (\S+) .*\n(rpk_\S+)\n$", output)
        assert found, output
        return found[1], found[2]

    # GIVEN two keys of one client, the second with an expiry and a smaller scope
    key_id, key = create()
    second_id, second = create("--scopes", "read", "--expires-days", "30")

    # THEN both let their client in
    with ApiClient(stack.url, key) as old, ApiClient(stack.url, second) as new:
        job = old.submit(("S00339218", [NO_URL]))
        assert [caller.get("/api/status", jobid=job).status_code for caller in (old, new)] == [200, 200]

    # WHEN a key that was never used is revoked, so that no cached decision about it exists
    third_id, third = create()
    command("revoke", "--id", third_id)

    # THEN it is refused on every route, and the list says so
    assert {(found.status_code, found.text) for found in answers(stack, third)} == {(403, json.dumps(FORBIDDEN))}
    listed = command("list", "--client", "rotating")
    states = {row.split()[0]: (*row.split()[2:4], row.split()[-1]) for row in listed.splitlines()[1:]}
    assert states == {
        key_id: ("read,submit", "unlimited", "live"),
        second_id: ("read", "unlimited", "live"),
        third_id: ("read,submit", "unlimited", "revoked"),
    }
    # AND neither a key nor its hash appears in the list or the log
    with ApiClient(stack.url, new_key()) as stranger:
        # A line may come into the log only when its function is invoked again.
        stranger.get("/api/jobs")
    line = f'"reason":"revoked","client":"rotating","key_id":"{third_id}"'
    wait_until(lambda: line in stack.log.read_text(encoding="utf-8").replace('", "', '","'), END_SECONDS)
    log = stack.log.read_text(encoding="utf-8")
    secrets = [secret for each in (key, second, third) for secret in (each, hash_key(each))]
    assert not [secret for secret in secrets if secret in listed or secret in log]


def test_a_daily_limit_is_set_by_the_command_enforced_and_reported(
    stack: StackProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    # The limit is that of a day, so the test must not begin just before midnight.
    wait_until(lambda: f"{datetime.now(UTC):%H:%M}" != "23:59", 90)
    assert keys.main(["create", "--client", "limited", "--daily-images", "3", "--url", stack.url]) == 0
    output = capsys.readouterr().out
    assert "images per day 3" in output
    assert keys.main(["list", "--client", "limited", "--url", stack.url]) == 0
    assert [row.split()[3] for row in capsys.readouterr().out.splitlines()] == ["IMAGES/DAY", "3"]
    two = submission(("S00339218", [NO_URL] * 2))

    with ApiClient(stack.url, output.split()[-1]) as caller:
        codes = [caller.post("/api/submit", two).status_code]
        refused = caller.post("/api/submit", two)
        codes += [refused.status_code, caller.post("/api/submit", submission(("S00339218", [NO_URL]))).status_code]
        usage = caller.read("/api/usage")

    assert codes == [201, 429, 201]
    assert re.match(r"visits has 2 images in total; .* is 3 images, 2 are used, and it resets", refused.json()["error"])
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert usage["client"] == "limited"
    assert (usage["today"]["images"], usage["today"]["limit"], usage["today"]["remaining"]) == (3, 3, 0)
    assert usage["today"]["requests"] >= 3


def test_a_key_that_a_person_chose_is_refused_even_if_the_table_has_it(stack: StackProcess) -> None:
    ApiKeysTable(stack.client("dynamodb"), stack.table_name).issue("chosen-key", "chosen")
    assert stack.api_key == "local-dev-key"
    for key, code in (("chosen-key", 403), (stack.api_key, 400)):
        with ApiClient(stack.url, key) as caller:
            assert caller.get("/api/status", jobid=1).status_code == code


@pytest.mark.parametrize("kind", ["none", "unknown", "mistyped", "expired", "revoked"])
def test_an_invalid_key_is_refused_on_every_route(stack: StackProcess, kind: str) -> None:
    table = ApiKeysTable(stack.client("dynamodb"), stack.table_name)
    key = new_key()
    if kind == "mistyped":
        table.issue(key, "mistyping")
        key = key[:-1] + ("a" if key[-1] != "a" else "b")
    elif kind == "expired":
        table.issue(key, "expiring", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    elif kind == "revoked":
        key_id = table.issue(key, "revoking").key_id
        assert keys.main(["revoke", "--id", key_id, "--url", stack.url]) == 0

    found = answers(stack, None if kind == "none" else key)

    assert len(found) == 2 * len(ROUTES) >= 10
    expected = (401, {"message": "Unauthorized"}) if kind == "none" else (403, FORBIDDEN)
    assert [(answer.status_code, answer.json()) for answer in found] == [expected] * len(found)


@pytest.mark.parametrize(("scope", "refused"), [(KeyScope.READ, "POST"), (KeyScope.SUBMIT, "GET")])
def test_a_key_is_refused_only_on_routes_whose_scope_it_lacks(
    stack: StackProcess, scope: KeyScope, refused: str
) -> None:
    key = new_key()
    ApiKeysTable(stack.client("dynamodb"), stack.table_name).issue(key, f"only-{scope}", frozenset({scope}))

    assert {answer.status_code for answer in answers(stack, key, refused)} == {403}
    # What it may do fails only for other reasons: the job does not exist, and the body is empty.
    others = answers(stack, key, "GET" if refused == "POST" else "POST")
    assert {answer.status_code for answer in others} <= {200, 400, 404}


def test_another_clients_key_finds_no_job_on_any_route(
    stack: StackProcess, client: ApiClient, other_client: ApiClient
) -> None:
    name = {"idempotency-key": "the-same-name"}
    job = client.post("/api/submit", submission(("S00339218", [NO_URL])), headers=name).json()
    by_id = [(method, path) for method, path in ROUTES if "/1" in path]
    assert len(by_id) >= 3

    found = [other_client.request(method, path.replace("/1", f"/{job['job_id']}")) for method, path in by_id]

    assert {answer.status_code for answer in found} == {404}
    assert other_client.get("/api/status", jobid=job["job_id"]).status_code == 400
    other = other_client.post("/api/submit", submission(("S00339218", [NO_URL, NO_URL])), headers=name)
    assert (other.status_code, other.json() != job) == (201, True)


@pytest.mark.parametrize("key", ["\xff\xfe", "x" * 8000, "a,b", "%00", "rpk_" + "A" * 38])
def test_an_odd_header_is_refused_like_an_unknown_key(stack: StackProcess, key: str) -> None:
    with ApiClient(stack.url, None) as caller:
        answer = caller.request("GET", "/api/status", headers={"x-api-key": key.encode("latin-1")})
    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["create", "--client", "a#b"], "nothing was done: client 'a#b' must be 1 to 63 of a-z, 0-9 and -"),
        (["create", "--client", "a", "--scopes", "write"], "scope 'write' must be one of submit, read, admin"),
        (["list", "--client", "A"], "client 'A' must be"),
        (["revoke", "--id", "nobody.1"], "key nobody.1 does not exist"),
        (["list", "--stack", "another"], "nothing was done: "),
    ],
)
def test_a_wrong_command_reports_the_mistake_and_does_nothing(
    stack: StackProcess, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert keys.main([*arguments, "--url", stack.url]) == 1
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "wrong", "maximum"),
    [
        ("--expires-days", ["0", "-1", "x", "3651", "1.5"], 3650),
        ("--daily-images", ["0", "-1", "x", "1000000001", "1.5", "1e3"], 10**9),
    ],
)
def test_days_and_images_of_a_key_are_whole_numbers(
    capsys: pytest.CaptureFixture[str], option: str, wrong: list[str], maximum: int
) -> None:
    for text in wrong:
        with pytest.raises(SystemExit):
            keys.main(["create", "--client", "a", f"{option}={text}"])
        assert f"{option}: must be a whole number from 1 to {maximum}" in capsys.readouterr().err
