"""What a running stack tells about itself."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StackInfo:
    """Where a running stack is found; the content of ``--info-file``.

    Attributes
    ----------
    url
        Base URL of the API, without a slash at the end.
    endpoint_url
        What AWS SDKs take as ``endpoint_url``; the same server.
    api_key
        The fixed key of the client ``local``.
    stack_name, table_name, queue_url, dead_letter_queue_url
        The CloudFormation stack and what it made.
    pid
        The process to signal; it ends everything else.
    region
        The AWS region that the stack plays.
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

    def to_json(self) -> str:
        """Return the JSON object that ``from_json`` reads."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "StackInfo":
        """Read what ``to_json`` wrote.

        Raises
        ------
        TypeError, ValueError
            When the text is no such object.
        """
        return cls(**json.loads(text))

    def write(self, path: Path) -> None:
        """Write the JSON object in one step, so that nobody reads half of it."""
        half = path.with_name(path.name + ".part")
        half.write_text(self.to_json(), encoding="utf-8")
        half.replace(path)
