"""What the smoke check reports about a server that is not a stage, and about wrong arguments."""

import json

import pytest

from local.images.server import Answer, ImageServer, failing, ok
from tools import smoke


@pytest.mark.parametrize("arguments", [[], ["", ""], ["http://127.0.0.1:1", ""], ["", "key"]])
def test_a_missing_url_or_key_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(arguments) == 2
    text = capsys.readouterr().err
    assert "make smoke URL=" in text
    assert "make key" in text


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://127.0.0.1", "http://", "abc"])
def test_an_invalid_url_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main([url, "key"]) == 2
    assert repr(url) in capsys.readouterr().err


def test_a_server_that_is_not_a_stage_fails_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    with ImageServer() as server:
        assert smoke.main([server.url(), "key"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "The stage does not fulfill the contract."
    assert len(lines) == 17
    assert all(line.startswith("FAIL  ") for line in lines[:-1])


def test_a_url_at_which_nothing_answers_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    with ImageServer() as server:
        url = server.url()
    assert smoke.main([url, "key"]) == 1
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", f"Cannot connect to {url}: the connection was refused.\n")


def answer(body: object) -> Answer:
    return ok(json.dumps(body).encode(), "application/json")


class TestTheFormOfAStatus:
    def check(self, *answers: Answer, seconds: float = 10.0) -> str:
        """Return what the check reports about a job with these statuses."""
        with ImageServer() as server:
            server.script("/api/status", *answers)
            checked = smoke.Smoke(server.url(), "key", seconds=seconds)
            checked._job_id = 123
            return checked.end()

    def test_a_job_can_complete(self) -> None:
        report = self.check(
            answer({"status": "ongoing", "job_id": "123"}), answer({"status": "completed", "job_id": "123"})
        )
        assert report.startswith("completed within ")

    def test_a_job_can_fail_and_the_report_says_why(self) -> None:
        error = [{"store_id": "S00339218", "error": "dns_failed: no address"}]
        report = self.check(answer({"status": "failed", "job_id": "123", "error": error}))
        assert report.startswith("failed within ")
        assert "S00339218: dns_failed: no address" in report

    def test_a_job_must_not_be_ongoing_for_ever(self) -> None:
        with pytest.raises(smoke.CheckError, match="ongoing after 0 s"):
            self.check(answer({"status": "ongoing", "job_id": "123"}), seconds=0)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"status": "completed"},
            {"status": "completed", "job_id": 123},
            {"status": "completed", "job_id": "124"},
            {"status": "done", "job_id": "123"},
            {"status": "completed", "job_id": "123", "error": []},
            {"status": "failed", "job_id": "123"},
            {"status": "failed", "job_id": "123", "error": []},
            {"status": "failed", "job_id": "123", "error": [{"store_id": "S1"}]},
        ],
    )
    def test_any_other_form_is_an_error(self, body: object) -> None:
        with pytest.raises(smoke.CheckError, match="does not match the contract"):
            self.check(answer(body))

    @pytest.mark.parametrize("body", [failing(200, b"<html>"), answer([]), answer(None)])
    def test_anything_but_an_object_is_an_error(self, body: Answer) -> None:
        with pytest.raises(smoke.CheckError, match="did not return a JSON object"):
            self.check(body)
