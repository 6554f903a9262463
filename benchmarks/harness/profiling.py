"""Profiles the CPU time of a process with py-spy, by the purpose of the code."""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness.report import Table

# A stack belongs to the first line with a part that occurs in one of its frames. The order matters: botocore's requests
# go through urllib3 too, and a download's size is read while its body is.
_PARTS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("storage: writing the request (botocore)", ("botocore/serialize.py",)),
    ("storage: reading the response (botocore)", ("botocore/parsers.py",)),
    ("storage: signing", ("botocore/signers.py", "botocore/auth.py")),
    ("storage: HTTP (botocore, urllib3)", ("botocore/httpsession.py",)),
    ("storage: other code of the SDK", ("botocore/",)),
    ("storage: items to and from the domain", ("retail_pulse/storage/",)),
    ("download: size and end marks", ("retail_pulse/measuring/formats/",)),
    ("download: reading the body", ("Fetcher._measure_body (",)),
    ("download: request and response headers", ("measuring/download/", "requests/", "urllib3/", "http/client.py")),
    ("download: other", ("retail_pulse/measuring/",)),
    ("validating the body (pydantic)", ("retail_pulse/api/submit_body.py",)),
    ("cutting into chunks", ("retail_pulse/domain/chunks.py",)),
    # Not all of `concurrent.futures`: the functions run in a process of its pool.
    ("threads and delays", ("retail_pulse/use_cases/image_pool.py", "futures/thread.py", "futures/_base.py")),
    ("logs and metrics", ("aws_lambda_powertools/", "logging/__init__.py")),
    ("use case", ("retail_pulse/",)),
)
OTHER = "everything else"
NO_PROFILE = "There is no profile, because py-spy is not allowed to read other processes here."


def sampled(pid: int, run: Callable[[], object], seconds: int) -> Counter[str] | None:
    """Sample a process for some seconds, during which a function keeps it busy.

    Returns
    -------
    Counter or None
        Samples of the thread that holds the interpreter, by purpose. None if py-spy is not allowed to read the
        process, as on macOS without root.
    """
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks.txt"
        command = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--output", str(stacks)]
        command += ["--duration", str(seconds), "--rate", "250", "--format", "raw", "--full-filenames", "--nonblocking"]
        # Only threads that hold the interpreter: some systems report threads that wait in a system call as running.
        command += ["--gil"]
        spy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run()
        finally:
            # py-spy writes its samples when its time is up.
            spy.wait(seconds + 30)
        if spy.returncode or not stacks.exists():
            return None
        return sort(stacks.read_text(encoding="utf-8").splitlines())


def profile(title: str, samples: Counter[str]) -> Table:
    """Return a table with the share of each purpose, largest first."""
    total = samples.total()
    rows = [[name, f"{number / total:.0%}"] for name, number in samples.most_common()]
    how = f"py-spy, {total:,} samples of the interpreter, without the kernel's part of sending and receiving"
    return Table(f"Where the CPU time of {title} goes ({how})", ["part", "share"], rows, detail=True)


def sort(stacks: Sequence[str]) -> Counter[str]:
    """Count samples by purpose. A line has a stack (frames separated by semicolons), a space and its samples."""
    samples: Counter[str] = Counter()
    for line in stacks:
        stack, _, number = line.rpartition(" ")
        found = (name for name, parts in _PARTS if any(part in stack for part in parts))
        samples[next(found, OTHER)] += int(number)
    return samples
