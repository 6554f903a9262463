"""Calls that are repeated while the service is busy or away, within bounds."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pulse.client import Client, ServiceError, UnreachableError
from tests.cli.service import Answer, StandIn

BUSY: Answer = (503, {"error": "busy"}, {})


class Waits(list[float]):
    """How long a client waited, without waiting."""

    def client(self, service: StandIn) -> Client:
        return Client(service.url, "key", attempts=8, sleep=self.append)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_transient_answer_is_repeated(service: StandIn, status: int) -> None:
    service.scripted = [(status, {}, {})] * 3
    waits = Waits()
    with waits.client(service) as client:
        assert client.read("/api/usage") == {"client": "acme"}
    assert len(waits) == 3
    assert waits == sorted(waits)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 413, 422, 500])
def test_any_other_answer_is_not_repeated(service: StandIn, status: int) -> None:
    service.scripted = [(status, {}, {"Location": "/elsewhere"})]
    with Waits().client(service) as client, pytest.raises(ServiceError) as raised:
        client.read("/api/usage")
    assert raised.value.status == status
    assert len(service.requests) == 1


def test_the_wait_is_what_the_service_asks_for(service: StandIn) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    service.scripted = [(429, {}, {"Retry-After": text}) for text in ("7", date, "0", "soon")]
    waits = Waits()
    with waits.client(service) as client:
        client.read("/api/usage")
    assert waits[0] == 7
    assert 0 < waits[1] <= 30
    assert waits[2] == 0
    assert waits[3] > 0


def test_a_wait_until_tomorrow_is_left_to_the_user(service: StandIn) -> None:
    service.scripted = [(429, {"error": "the daily limit", "code": "daily_limit_reached"}, {"Retry-After": "80000"})]
    with Waits().client(service) as client, pytest.raises(ServiceError, match="daily limit"):
        client.read("/api/usage")


def test_the_attempts_have_an_end(service: StandIn) -> None:
    service.scripted = [BUSY] * 20
    waits = Waits()
    with waits.client(service) as client, pytest.raises(ServiceError):
        client.read("/api/usage")
    assert len(service.requests) == 8
    assert sum(waits) < 180


def test_a_url_at_which_nothing_answers_is_given_up_sooner_than_a_service_that_has_answered() -> None:
    with StandIn() as service:
        waits = Waits()
        known = waits.client(service)
        known.read("/api/usage")
    with known, pytest.raises(UnreachableError, match="the connection was refused"):
        known.read("/api/usage")
    assert len(waits) == 7

    waits = Waits()
    with waits.client(service) as unknown, pytest.raises(UnreachableError):
        unknown.read("/api/usage")
    assert len(waits) == 2


def test_a_retry_whose_answer_was_lost_is_not_sent_again() -> None:
    with StandIn() as service:
        waits = Waits()
        client = waits.client(service)
    with client, pytest.raises(UnreachableError):
        client.retry(1)
    assert waits == []


def test_the_key_does_not_follow_a_redirect(service: StandIn) -> None:
    with StandIn() as other:
        service.scripted = [(307, {}, {"Location": f"{other.url}/api/usage"})]
        with Waits().client(service) as client, pytest.raises(ServiceError):
            client.read("/api/usage")
        assert other.requests == []
