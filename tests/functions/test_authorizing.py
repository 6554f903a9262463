"""The authorizer, and the scopes that handlers enforce: who is allowed in, and the audit line of every refusal."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from local.lambda_host.context import Context
from local.lambda_host.events import event
from local.lambda_host.table import TABLE
from retail_pulse.domain.api_keys import ApiKey, KeyScope, hash_key, new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable
from tests.functions.service import Service

NOW = datetime.now(UTC)
LIVE, LIMITED, REVOKED, EXPIRED = (new_key() for _ in range(4))
CHOSEN = "local-dev-key"
REQUEST = event("authorize")["requestContext"]["requestId"]


@pytest.fixture
def _keys(service: Service) -> None:
    table = ApiKeysTable(boto3.client("dynamodb"), TABLE)
    scopes = frozenset({KeyScope.READ, KeyScope.SUBMIT})
    tomorrow = NOW + timedelta(days=1)
    table.put(ApiKey("me.1", hash_key(LIVE), "me", scopes, NOW))
    table.put(ApiKey("me.2", hash_key(LIMITED), "me", frozenset({KeyScope.READ}), NOW, tomorrow, daily_images=1000))
    table.put(ApiKey("me.3", hash_key(REVOKED), "me", scopes, NOW, revoked_at=NOW))
    table.put(ApiKey("me.4", hash_key(EXPIRED), "me", scopes, NOW, expires_at=NOW))
    table.put(ApiKey("me.5", hash_key(CHOSEN), "me", scopes, NOW))
    table.put(ApiKey("me.6", hash_key("chosen"), "me", scopes, NOW))


def authorize(service: Service, headers: dict[str, str]) -> Any:
    sent = event("authorize")
    del sent["headers"]["x-api-key"]
    sent["headers"] |= headers
    return service.load("authorize").handler(sent, Context())


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize(
    ("key", "found"),
    [
        (LIVE, {"client": "me", "key_id": "me.1", "scopes": "read submit"}),
        (LIMITED, {"client": "me", "key_id": "me.2", "scopes": "read", "daily_images": "1000"}),
    ],
    ids=["unlimited", "limited"],
)
def test_two_live_keys_of_one_client_are_both_accepted(service: Service, key: str, found: dict[str, str]) -> None:
    for header in ("x-api-key", "X-Api-Key"):
        assert authorize(service, {header: key}) == {"isAuthorized": True, "context": found}


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize(
    ("key", "audit"),
    [
        ("", {"reason": "malformed"}),
        ("\ud800", {"reason": "malformed"}),
        ("x" * 100_000, {"reason": "malformed"}),
        (LIVE[:-1] + ("0" if LIVE[-1] != "0" else "1"), {"reason": "malformed"}),
        (f" {LIVE}", {"reason": "malformed"}),
        (f"{LIVE},{LIVE}", {"reason": "malformed"}),
        (LIVE.upper(), {"reason": "malformed"}),
        (hash_key(LIVE), {"reason": "malformed"}),
        # The table has both, but only the local stack may look one of them up.
        (CHOSEN, {"reason": "malformed"}),
        ("chosen", {"reason": "malformed"}),
        (new_key(), {"reason": "unknown"}),
        (REVOKED, {"reason": "revoked", "client": "me", "key_id": "me.3"}),
        (EXPIRED, {"reason": "expired", "client": "me", "key_id": "me.4"}),
    ],
    # A random key must not be part of a test's name: the workers of pytest would not agree on it.
    ids=range(13),
)
def test_any_other_key_is_refused_and_the_audit_line_says_why(
    service: Service, caplog: pytest.LogCaptureFixture, key: str, audit: dict[str, str]
) -> None:
    assert authorize(service, {"x-api-key": key}) == {"isAuthorized": False}
    assert audit_lines(caplog) == [{"request": REQUEST} | audit]


@pytest.mark.usefixtures("_keys")
def test_only_the_local_key_is_looked_up_without_the_form_of_a_key(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_KEY", CHOSEN)
    assert authorize(service, {"x-api-key": CHOSEN})["context"]["key_id"] == "me.5"
    assert authorize(service, {"x-api-key": "chosen"}) == {"isAuthorized": False}
    assert authorize(service, {"x-api-key": ""}) == {"isAuthorized": False}
    assert authorize(service, {"x-api-key": LIVE})["context"]["key_id"] == "me.1"


def test_a_missing_header_is_refused(service: Service) -> None:
    assert authorize(service, {}) == {"isAuthorized": False}


@pytest.mark.usefixtures("_keys")
def test_neither_a_key_nor_its_hash_reaches_the_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    sent = [LIVE, REVOKED, EXPIRED, new_key(), "a-key-that-was-never-issued", "rpk_with-a-typing-error"]
    for key in sent:
        authorize(service, {"x-api-key": key})
    logged = str([vars(record) for record in caplog.records])
    assert len(caplog.records) == len(sent)
    secrets = [*sent, *map(hash_key, sent)]
    assert not [secret for secret in secrets if secret in logged]


@pytest.mark.parametrize(
    ("function", "path", "scopes", "lacking"),
    [
        ("submit", "/api/submit", "read", "submit"),
        ("submit", "/api/jobs/1/retry", "read", "submit"),
        ("submit", "/api/submit", "", "submit"),
        ("status", "/api/status", "submit", "read"),
        ("status", "/api/jobs/1", "submit", "read"),
        ("status", "/api/jobs/1/results", "submit", "read"),
        ("status", "/api/usage", "submit", "read"),
    ],
)
def test_a_key_without_the_scope_gets_403_and_an_audit_line(
    service: Service, api_log: pytest.LogCaptureFixture, function: str, path: str, scopes: str, lacking: str
) -> None:
    who = {"client": "me", "key_id": "me.7"}
    sent = event(function) | {"rawPath": path}
    code, answer = service.call(function, sent, by=who | {"scopes": scopes})

    assert (code, answer.get("error", answer.get("detail"))) == (403, f"API key lacks the scope {lacking}")
    request = {"request": sent["requestContext"]["requestId"], "reason": f"lacks the scope {lacking}"}
    assert audit_lines(api_log) == [request | who]


def test_an_admin_key_can_use_every_route(service: Service) -> None:
    for function, code in (("submit", 201), ("status", 400)):
        assert service.call(function, event(function), by={"scopes": "admin"})[0] == code


@pytest.mark.parametrize("client", ["", "you#1", "JOB", "a\nb"])
def test_an_invalid_client_name_from_the_authorizer_is_a_500(service: Service, client: str) -> None:
    # Only a bug in the authorizer could pass it on, so it is not the client's error.
    for function in ("submit", "status"):
        assert service.call(function, event(function), by={"client": client})[0] == 500
    assert boto3.client("dynamodb").scan(TableName=TABLE)["Count"] == 0


def audit_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    names = ("request", "reason", "client", "key_id")
    refusals = [vars(record) for record in caplog.records if record.getMessage() == "refused"]
    assert all(record["levelno"] == logging.WARNING for record in refusals)
    return [{name: str(record[name]) for name in names if name in record} for record in refusals]
