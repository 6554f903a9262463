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
    """How to run one stack; the only argument of its process."""

    root: str  # folder of the project
    private: str  # folder for everything that the stack writes and that is deleted with it
    log: str  # the file that receives the stack's output
    port: int  # of the listening socket
    socket_fd: int  # the inherited listening socket
    parameters: dict[str, str]  # template parameters that differ from their defaults
    # The inherited pipe for the report. The process never closes it: end of file means that the process has ended.
    report_fd: int = -1


@dataclass(frozen=True, slots=True)
class StackInfo(_Message):
    """Where to find a running stack; the content of ``--info-file``."""

    url: str  # base URL of the API such as http://127.0.0.1:40123, without a trailing slash
    endpoint_url: str  # the same server, as the endpoint_url of AWS SDKs
    secret: str  # access key ID and secret access key for AWS SDKs, drawn at each start
    api_key: str  # a fixed key of the client "local" with every scope
    stack_name: str
    table_name: str
    queue_url: str
    dead_letter_queue_url: str
    pid: int  # the process to signal; it ends all others
    region: str  # the emulated AWS region
    log: str  # the file with the log lines of the functions and of the emulator

    def write(self, path: Path) -> None:
        """Write an indented JSON object in one step, so that a reader never sees a partial file."""
        partial = path.with_name(path.name + ".part")
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        partial.replace(path)


@dataclass(frozen=True, slots=True)
class Report(_Message):
    """The outcome of a start: where to find the stack, or why it is not up."""

    info: StackInfo | None
    error: str | None = None  # one line
    show_log: bool = False  # whether the log says more than that line

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a message written by `to_json`."""
        fields = json.loads(text)
        info = fields.pop("info")
        return cls(info and StackInfo(**info), **fields)
