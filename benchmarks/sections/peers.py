"""Compares the download path with other clients, each warm in its own process: CPU time and wall time per image."""

import json
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

from benchmarks.harness.processes import made_in_new_process
from benchmarks.harness.report import Bars, Figure, Section, Settings, SkippedError, Table
from benchmarks.world.clients import AT_ONCE, CLIENTS, Downloads
from benchmarks.world.download_path import DownloadPath
from benchmarks.world.served_images import served_images, urls
from local.checkout import ROOT

_PYTHON = ROOT / ".peers" / "bin" / "python"
_IMAGES = 2000
_IMAGE_BYTES = 100_000
_WAIT_SECONDS = 0.1
_OURS, _UNBOUND = "ours, as deployed", "ours, not bound to one core"
_BASELINE = "aiohttp"


class _Client(Protocol):
    def measure(self, urls: Sequence[str]) -> Downloads: ...


class _Peer:
    """A client in a process of the peers' interpreter."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def measure(self, urls: Sequence[str]) -> Downloads:
        """Measure images by their URLs."""
        return Downloads(**json.loads(self._exchange(json.dumps(urls))))

    def wait_until_ready(self) -> bool:
        """Wait for the end of the imports, and return whether they succeeded."""
        return self._read() == "ready\n"

    def _exchange(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def measure(settings: Settings) -> Section:
    """Measure every client in turns.

    Raises
    ------
    SkippedError
        The other clients are not installed.
    """
    if not _PYTHON.exists():
        raise SkippedError("the other clients are not installed; `make peers` installs them")
    with ExitStack() as stack:
        base = stack.enter_context(served_images(_IMAGE_BYTES, _WAIT_SECONDS))
        clients: dict[str, _Client] = {
            _OURS: stack.enter_context(made_in_new_process(DownloadPath)),
            _UNBOUND: stack.enter_context(made_in_new_process(DownloadPath, one_core=False)),
        }
        missing = []
        for name in CLIENTS:
            peer = stack.enter_context(_started(name))
            if peer.wait_until_ready():
                clients[name] = peer
            else:
                missing.append(name)
        if _BASELINE in missing:
            raise SkippedError(f"{_BASELINE} does not start here")
        _compare_sizes(clients, urls(base, 2 * AT_ONCE))
        images = _IMAGES // 2 if settings.quick else _IMAGES
        rounds = _in_turns(clients, urls(base, images), 2 if settings.quick else 7)
    return _section(images, rounds, missing)


@contextmanager
def _started(name: str) -> Iterator[_Peer]:
    command = [str(_PYTHON), "-m", "benchmarks.world.clients", name]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        yield _Peer(process)


def _compare_sizes(clients: Mapping[str, _Client], images: Sequence[str]) -> None:
    """Warm every client up, and check that all measure the same."""
    sizes = {name: [tuple(size) for size in client.measure(images).sizes] for name, client in clients.items()}
    wrong = [name for name in clients if sizes[name] != sizes[_OURS]]
    if wrong:
        raise ValueError(f"these clients measure other sizes than ours: {', '.join(wrong)}")


def _in_turns(clients: Mapping[str, _Client], images: Sequence[str], rounds: int) -> Mapping[str, Sequence[Downloads]]:
    turns = [{name: client.measure(images) for name, client in clients.items()} for _ in range(rounds)]
    return {name: [turn[name] for turn in turns] for name in clients}


def _section(images: int, rounds: Mapping[str, Sequence[Downloads]], missing: Sequence[str]) -> Section:
    cpu = {
        name: 1000 * statistics.median(each.cpu_seconds for each in several) / images
        for name, several in rounds.items()
    }
    wall = {name: statistics.median(each.seconds for each in several) for name, several in rounds.items()}
    order = sorted(cpu, key=cpu.__getitem__)
    rows = [[name, *(f"{each:.2f}" for each in (cpu[name], cpu[name] / cpu[_BASELINE], wall[name]))] for name in order]
    text = (
        f"{images:,} URLs of {_IMAGE_BYTES / 1000:.0f} KB (JPEG, PNG, WebP), {AT_ONCE} at once, from a server on this "
        f"machine that answers after {_WAIT_SECONDS * 1000:.0f} ms. Each client runs warm in its own process, and they "
        "take turns; these are medians. The other clients open what they downloaded with Pillow, which does not decode "
        "pixels, and all give the same sizes; img2dataset leaves the files as they are. Only ours also checks the "
        "address of each connection, bounds time, headers and body, and finds truncated files. As deployed, its "
        f"process is bound to one core; `{_BASELINE}` and `pycurl` (a multi handle) have one thread, and the others "
        f"have {AT_ONCE}."
    )
    if missing:
        text += f" Not measured, because it does not start with this interpreter: {', '.join(missing)}."
    what = f"CPU time per image of the download path with {AT_ONCE} threads, against aiohttp + Pillow"
    title = "CPU time per image of each client"
    return Section(
        "Other clients",
        text,
        [Figure(what, cpu[_OURS] / cpu[_BASELINE], 1.0)],
        [Table(title, ("client", "CPU per image (ms)", "against aiohttp", "wall time (s)"), rows)],
        bars=[Bars("peers", title, "ms per image", {name: cpu[name] for name in order})],
    )
