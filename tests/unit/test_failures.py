"""Failures of images: what clients are told, and what is worth a retry."""

import pytest

from retail_pulse.domain.failures import FailureCode, MeasuringError, is_transient_status
from retail_pulse.domain.outcomes import Failure
from retail_pulse.domain.text import MAX_MESSAGE_CHARACTERS


@pytest.mark.parametrize(
    ("text", "shown"), [("\x00\x1b[31m", "??[31m"), ("\ud800", "?"), ("a\nb", "a?b"), ("\u2028", "?"), ("é店", "é店")]
)
def test_a_message_is_printable_whatever_a_server_sent(text: str, shown: str) -> None:
    assert MeasuringError(FailureCode.HTTP_STATUS, text).message == shown


def test_a_message_has_at_most_300_characters() -> None:
    failure = Failure.of(MeasuringError(FailureCode.HTTP_STATUS, "é" * 1_000))
    assert failure.message == "é" * MAX_MESSAGE_CHARACTERS


def test_a_failure_is_transient_by_its_code_unless_the_error_says_otherwise() -> None:
    assert Failure.of(MeasuringError(FailureCode.TIMEOUT, "slow")).is_transient
    assert not Failure.of(MeasuringError(FailureCode.NOT_AN_IMAGE, "no")).is_transient
    assert not Failure.of(MeasuringError(FailureCode.TIMEOUT, "slow", passing=False)).is_transient


def test_408_425_429_and_every_5xx_are_transient() -> None:
    assert {status for status in range(100, 700) if is_transient_status(status)} == {408, 425, 429, *range(500, 600)}
