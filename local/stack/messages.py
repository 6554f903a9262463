"""What the command line tells the process of the stack, and what that answers."""

import json
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True, slots=True)
class Order:
    """How to run one stack.

    Attributes
    ----------
    root
        The project's folder.
    private
        Folder for everything that the stack writes and that ends with it.
    port
        Port of the listening socket.
    socket_fd
        The listening socket, which the process inherits.
    parameters
        Template parameters that differ from their defaults.
    report_fd
        The pipe that takes the report, inherited too. The process leaves it open: its end says that the process ended.
    """

    root: str
    private: str
    port: int
    socket_fd: int
    parameters: dict[str, str]
    report_fd: int = -1

    def with_report_fd(self, report_fd: int) -> "Order":
        """Return the order with the pipe of the one who supervises it."""
        return replace(self, report_fd=report_fd)

    def to_json(self) -> str:
        """Return the text that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Order":
        """Read what ``to_json`` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the start.

    Attributes
    ----------
    outputs
        The template's outputs, when the stack is up.
    error
        Otherwise why it is not, in one line.
    explained
        Whether that line says it all; otherwise the log should be shown too.
    """

    outputs: dict[str, str] | None
    error: str | None = None
    explained: bool = True

    def to_json(self) -> str:
        """Return the text that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Read what ``to_json`` wrote."""
        return cls(**json.loads(text))
