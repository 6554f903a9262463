"""``make smoke`` against the embedded stack; the example's images come from this machine."""

import pytest

from local.images.server import ImageServer
from local.stack.process import StackProcess
from tools import smoke


def test_the_embedded_stack_fulfills_the_contract(
    stack: StackProcess, images: ImageServer, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    images.add("/2.jpg", picture)
    images.add("/3.jpg", picture)

    code = smoke.main([stack.url + "/", stack.api_key, "--images", images.url(), "--seconds", "60"])

    output = capsys.readouterr().out
    assert code == 0, output
    lines = output.splitlines()
    assert len(lines) == 17
    assert all(line.startswith("ok    ") for line in lines[:-1])
    assert "ok    the job ends: completed within" in output
    assert "ok    the job's results: 420, 420, 420" in output
    assert "ok    the job's results, filtered: 3 measured, 0 failed" in output
    assert "ok    the results as CSV: a header and 3 rows" in output
    assert "ok    the client's usage: client local, " in output


def test_images_that_cannot_be_downloaded_do_not_count_against_the_stage(
    stack: StackProcess, images: ImageServer, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    images.add("/3.jpg", picture)

    code = smoke.main([stack.url, stack.api_key, "--images", images.url(), "--seconds", "60"])

    output = capsys.readouterr().out
    assert code == 0, output
    assert "ok    the job ends: failed within" in output
    assert "S00339218: http_status" in output
    assert "ok    the job's results: http_status, 420, 420" in output
    assert "ok    the job's results, filtered: 2 measured, 1 failed" in output


def test_a_wrong_key_fails_the_check(stack: StackProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main([stack.url, "a-wrong-key"]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines[:4]] == ["ok  ", "ok  ", "ok  ", "FAIL"]
