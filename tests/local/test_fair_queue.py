"""The order in which the emulated queue delivers."""

from typing import Any

import pytest

from local.emulator.fair_queue import collecting, fairly

NOW = 1000.0


def message(name: str, group: str | None = None, *, visible_at: float = NOW, receives: int = 0) -> dict[str, Any]:
    return {"id": name, "group_id": group, "visible_at": visible_at, "receive_count": receives}


def in_flight(group: str | None, name: str = "x") -> dict[str, Any]:
    return message(name, group, visible_at=NOW + 1, receives=1)


def names(*messages: dict[str, Any], number: int = 10) -> str:
    return "".join(each["id"] for each in fairly(messages, number, NOW))


def test_one_group_is_delivered_by_age() -> None:
    assert names(*(message(name, "a") for name in "123"), number=2) == "12"


def test_a_message_of_a_quiet_group_goes_before_the_backlog_of_a_busy_one() -> None:
    backlog = [message(str(number), "busy") for number in range(9)]
    assert names(in_flight("busy"), *backlog, message("q", "quiet"), number=3) == "q01"


def test_groups_without_messages_in_flight_take_turns() -> None:
    assert names(*(message(name, "a") for name in "123"), *(message(name, "b") for name in "456")) == "142536"


def test_of_busy_groups_the_one_with_the_fewest_messages_in_flight_goes_first() -> None:
    flying = [*(in_flight("a") for _ in range(3)), in_flight("b")]
    assert names(*flying, *(message(name, "a") for name in "12"), *(message(name, "b") for name in "3456")) == "341526"


def test_each_message_without_a_group_is_a_group_of_its_own() -> None:
    assert names(in_flight(None), in_flight("a", "y"), message("1", "a"), message("2"), message("3"), number=2) == "23"


@pytest.mark.parametrize(
    "hidden",
    [
        pytest.param(message("h", "a", visible_at=NOW + 1), id="delayed"),
        pytest.param(in_flight("a", "h"), id="in flight"),
    ],
)
def test_hidden_messages_are_not_delivered(hidden: dict[str, Any]) -> None:
    assert names(hidden) == ""


def test_a_delayed_message_does_not_count_as_in_flight() -> None:
    assert names(message("d", "a", visible_at=NOW + 1), message("1", "a"), in_flight("b"), message("2", "b")) == "12"


@pytest.mark.parametrize(("fifo", "first"), [(False, "quiet"), (True, "busy")])
def test_only_standard_queues_are_fair(*, fifo: bool, first: str) -> None:
    seen: list[dict[str, Any]] = []

    def collect(queue: dict[str, Any], number: int, visibility_seconds: int) -> list[dict[str, Any]]:
        seen.extend(queue["messages"])
        return []

    messages = [in_flight("busy"), message("1", "busy"), message("2", "quiet")]
    collecting(collect, lambda: NOW)({"is_fifo": fifo, "messages": messages}, 1, 30)

    assert seen[0]["group_id"] == first
    assert len(messages) == 3
