"""Messages between the processes of the embedded stack, as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class _Message:
    def to_json(self) -> str:
        """Return the message as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a message written by `to_json`."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Order(_Message):
    """How to run one stack; the only argument of its process.

    Attributes
    ----------
    root
        The project's folder.
    private
        Folder for everything that the stack writes and that is deleted with it.
    log
        The file that receives the stack's output.
    port
        Port of the listening socket.
    socket_fd
        The inherited listening socket.
    parameters
        Template parameters that differ from their defaults.
    report_fd
        The inherited pipe for the report. The process never closes it: end of file means that the process has ended.
    """

    root: str
    private: str
    log: str
    port: int
    socket_fd: int
    parameters: dict[str, str]
    report_fd: int = -1


@dataclass(frozen=True, slots=True)
class StackInfo(_Message):
    """Where to find a running stack; the content of ``--info-file``.

    Attributes
    ----------
    url
        Base URL of the API, without a trailing slash.
    endpoint_url
        The same server, as the ``endpoint_url`` of AWS SDKs.
    api_key
        A fixed key of the client ``local`` with every scope.
    stack_name, table_name, queue_url, dead_letter_queue_url
        The CloudFormation stack and its resources.
    pid
        The process to signal; it ends all others.
    region
        The emulated AWS region.
    log
        The file with the log lines of the functions and of the emulator.
    """

    url: str
    endpoint_url: str
    api_key: str
    stack_name: str
    table_name: str
    queue_url: str
    dead_letter_queue_url: str
    pid: int
    region: str
    log: str

    def write(self, path: Path) -> None:
        """Write an indented JSON object in one step, so that nobody reads a partial file."""
        partial = path.with_name(path.name + ".part")
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        partial.replace(path)


@dataclass(frozen=True, slots=True)
class Report(_Message):
    """The outcome of a start.

    Attributes
    ----------
    info
        Where to find the stack, when it is up.
    error
        Otherwise why it is not, in one line.
    show_log
        Whether the log says more than that line.
    """

    info: StackInfo | None
    error: str | None = None
    show_log: bool = False

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a message written by `to_json`."""
        fields = json.loads(text)
        info = fields.pop("info")
        return cls(info and StackInfo(**info), **fields)
