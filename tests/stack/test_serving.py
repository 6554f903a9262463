"""Starting, ending and restarting the stack."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local.checkout import ROOT
from local.client import ApiClient
from local.emulator.descriptors import LIMIT
from local.images.server import ImageServer, stalled
from local.stack.process import StackError, StackProcess
from retail_pulse.domain.api_keys import new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable
from tests.support.memory import tree
from tests.support.waiting import END_SECONDS, wait_until

STORE = "S00339218"


def refusal(*arguments: str) -> str:
    """Return the one line that a command prints when it fails before it serves."""
    command = [sys.executable, "-m", "local.stack.serve", *arguments]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=END_SECONDS, check=False)
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (1, "", 1)
    return refused.stderr


def alive(processes: set[int]) -> set[int]:
    """Return the processes that still run; a zombie does not count."""
    running = set()
    for process in processes:
        with suppress(OSError):
            state = Path(f"/proc/{process}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[0]
            if state != "Z":
                running.add(process)
    return running


@pytest.fixture
def busy(images: ImageServer, picture: bytes) -> Iterator[tuple[StackProcess, set[int]]]:
    """A stack whose worker waits for an image that never arrives, and all its processes."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("processes are found in /proc")
    with StackProcess() as stack, ApiClient(stack.url, stack.api_key) as client:
        client.submit((STORE, [images.script("/never.jpg", stalled(picture))]))
        assert images.wait_for_requests(1, timeout=END_SECONDS)
        processes = tree(stack.pid)
        # The launcher, the stack, and one worker each of authorize, submit, process and status.
        assert len(processes) >= 6
        yield stack, processes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process_and_cleans_up(busy: tuple[StackProcess, set[int]], number: signal.Signals) -> None:
    stack, processes = busy
    assert stack.stop(number) == 0
    assert not alive(processes)
    assert not stack.log.parent.exists()
    assert "Traceback" not in stack.output


def test_the_stack_runs_in_its_own_session_so_that_ctrl_c_reaches_only_its_starter(stack: StackProcess) -> None:
    # A terminal interrupts only its own session; whoever started the stack then ends it properly.
    assert os.getsid(stack.pid) == stack.pid


def test_the_functions_have_the_descriptors_of_lambda(busy: tuple[StackProcess, set[int]]) -> None:
    folders = [Path(f"/proc/{process}") for process in busy[1]]
    workers = [folder for folder in folders if "_worker.py" in (folder / "cmdline").read_text(encoding="utf-8")]
    limits = [(folder / "limits").read_text(encoding="ascii") for folder in workers]
    found = [re.findall(r"^Max open files +(\d+) +(\d+)", text, re.MULTILINE) for text in limits]
    assert len(found) >= 4
    assert found == [[(str(LIMIT), str(LIMIT))]] * len(found)


def test_killing_the_launcher_leaves_nothing_behind(busy: tuple[StackProcess, set[int]]) -> None:
    stack, processes = busy
    assert stack.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not alive(processes) and not stack.log.parent.exists(), END_SECONDS)


def test_a_stack_that_ends_unexpectedly_is_reported(busy: tuple[StackProcess, set[int]]) -> None:
    stack, processes = busy
    (inner,) = (
        process for process in processes if b"local.stack.stack" in Path(f"/proc/{process}/cmdline").read_bytes()
    )

    os.kill(inner, signal.SIGKILL)
    wait_until(lambda: not alive(processes), END_SECONDS)

    assert stack.stop() == 1
    assert "the stack ended unexpectedly" in stack.output


def test_two_stacks_run_side_by_side(
    stack: StackProcess, client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    with StackProcess(parameters={"Console": "off"}) as second, ApiClient(second.url, second.api_key) as other:
        url = images.add("/a.jpg", picture)
        jobs = [client.submit((STORE, [url])), other.submit((STORE, [url]))]

        assert stack.secret != second.secret
        assert client.wait(jobs[0], END_SECONDS)["status"] == other.wait(jobs[1], END_SECONDS)["status"] == "completed"
        # Neither knows the other's job.
        assert client.get("/api/status", jobid=jobs[1]).status_code == 400
        assert other.get("/api/status", jobid=jobs[0]).status_code == 400
        # One has the console at /, the other leads to the description.
        assert [each.get("/").text.count('src="/console/') for each in (client, other)] == [1, 0]


def test_a_port_in_use_is_reported_in_one_line(stack: StackProcess) -> None:
    port = stack.url.rpartition(":")[2]
    assert f"port {port} is in use" in refusal("--port", port)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--port", "99999"], "port 99999"),
        (["--port", "0", "--parameter", "Nonsense=1"], "no parameter Nonsense"),
        (["--port", "0", "--parameter", "Architecture=pdp11"], "Architecture"),
        (["--port", "0", "--parameter", "Architecture"], "NAME=VALUE"),
    ],
)
def test_wrong_arguments_are_reported_in_one_line(arguments: list[str], text: str) -> None:
    assert text in refusal(*arguments)


def test_a_state_directory_that_every_user_can_write_to_is_refused_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    text = refusal("--port", "0", "--state-dir", str(tmp_path))
    assert f"state directory {tmp_path}: every user can write to it" in text


def test_a_stack_that_cannot_start_reports_the_reason() -> None:
    with pytest.raises(StackError, match="no parameter Nonsense"), StackProcess(parameters={"Nonsense": "1"}):
        pass


def test_a_function_that_cannot_start_is_reported_with_its_error(tmp_path: Path) -> None:
    for name in ("docs", "layers", "store_master.csv"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("functions", "infra"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "functions" / "status" / "app.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")

    with pytest.raises(StackError) as raised, StackProcess(root=tmp_path):
        pass

    assert "GET /api/health returned 500" in str(raised.value)
    assert "No module named 'nowhere_to_be_found'" in str(raised.value)


def test_every_printed_line_works_as_pasted_into_a_shell_without_the_internet(
    stack: StackProcess, client: ApiClient, tmp_path: Path
) -> None:
    def pasted(label: str) -> str:
        (line,) = (line.removeprefix(label).strip() for line in lines if line.startswith(f"{label} "))
        variables = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "MAKEFLAGS": ""}
        # From any folder.
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    lines = stack.output.splitlines()
    assert lines[-1] == "ready"
    assert f"URL   {stack.url}" in stack.output
    assert f"Web   {stack.url}/ " in stack.output
    assert stack.api_key in stack.output

    job = json.loads(pasted("Try"))["job_id"]
    assert client.wait(job, END_SECONDS)["status"] == "completed"
    assert re.fullmatch(r"Job (\d+) submitted: 2 visits, 4 images\nJob \1 completed: 4 measured\n", pasted("Or"))


def test_the_state_survives_restarts(tmp_path: Path, images: ImageServer, picture: bytes) -> None:
    state = tmp_path / "state"
    key = new_key()
    url, slow = images.add("/a.jpg", picture), images.script("/slow.jpg", stalled(picture))

    # GIVEN a stack with a key of another client, a job that has ended and one that is ongoing
    with StackProcess(state_dir=state) as first:
        ApiKeysTable(first.client("dynamodb"), first.table_name).issue(key, "other")
        with ApiClient(first.url, key) as client:
            ended = client.submit((STORE, [url, url]))
            assert client.wait(ended, END_SECONDS)["status"] == "completed"
            ongoing = client.submit((STORE, [url]), (STORE, [slow]))
            assert images.wait_for_requests(1, path="/slow.jpg", timeout=END_SECONDS)
        # AND a second stack that is refused its state directory meanwhile
        assert "another stack uses the state directory" in refusal("--port", "0", "--state-dir", str(state))

    # WHEN it ends in the middle of a job and starts again, on any port and with another parameter
    images.add("/slow.jpg", picture)
    with StackProcess(state_dir=state, parameters={"DelayMaxSeconds": "0.2"}) as second:
        with ApiClient(second.url, key) as client:
            # THEN the ended job is still there, the ongoing one continues at once, and new jobs are accepted
            assert client.get("/api/status", jobid=ended).json()["status"] == "completed"
            assert [row["perimeter"] for row in client.results(ended)] == [420, 420]
            assert client.wait(ongoing, END_SECONDS)["status"] == "completed"
            assert client.wait(client.submit((STORE, [url])), END_SECONDS)["status"] == "completed"
        # AND the parameter has reached the version that the queue calls, and the API calls the same alias
        gateway = second.client("apigatewayv2")
        (api,) = gateway.get_apis()["Items"]
        called = [each["IntegrationUri"] for each in gateway.get_integrations(ApiId=api["ApiId"])["Items"]]
        called += [each["AuthorizerUri"] for each in gateway.get_authorizers(ApiId=api["ApiId"])["Items"]]
        assert [uri for uri in called if not uri.endswith(":live")] == []
        functions = second.client("lambda")
        (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
        assert mapping["FunctionArn"].endswith(":live")
        live = functions.get_function_configuration(FunctionName=mapping["FunctionArn"])
        assert live["Environment"]["Variables"]["DELAY_MAX_SECONDS"] == "0.2"
        assert live["Version"] == "2"
