"""`make key` on a machine without AWS credentials, and what `make help` shows."""

from pathlib import Path

import pytest

from tests.support.checkout import run
from tools import keys


@pytest.mark.parametrize("region", [None, "eu-west-1"])
def test_without_an_aws_account_it_names_the_url_of_the_local_stack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, region: str | None
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    # A session of boto3 keeps what it has found before.
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    if region:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)

    assert keys.main(["list"]) == 1

    text = capsys.readouterr().err
    assert text.startswith("nothing was done: ")
    assert text.endswith("; without an AWS account, URL=http://127.0.0.1:8080 names the stack of `make serve`\n")


def test_the_help_of_make_has_no_variables_of_make() -> None:
    shown = run("make", "help")
    assert "make pulse " in shown.stdout
    assert "$" not in shown.stdout
