"""What was submitted from which file, on this machine: a repeat submits nothing twice, also after more than a day.

The service remembers an Idempotency-Key for a day. Before a part is sent, the record has the time; after it, the job.
"""

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from pulse.config import write_private

# Jobs expire after 90 days by default.
_KEPT_SECONDS: Final = 400 * 86_400
_DIGEST_CHARACTERS: Final = 40


@dataclass(slots=True)
class SentPart:
    """A part that was sent, perhaps more than once: the first time, and the job if the response arrived."""

    sent_at: float
    job_id: str | None = None


@dataclass(slots=True)
class Record:
    """The submissions of one file's content to one service with one key."""

    path: Path
    digest: str
    name: str
    # Empty the first time, and random for each submission by --again.
    series: str = ""
    parts: dict[str, SentPart] = field(default_factory=dict)
    is_saved: bool = True

    @classmethod
    def load(cls, folder: Path, client: str, content: bytes, name: str, *, again: bool) -> Self:
        """Return the record of a file's content and a client's digest: the saved one, or a new one, also by `again`."""
        digest = hashlib.sha256(content).hexdigest()
        path = folder / f"{hashlib.sha256(f'{client} {digest}'.encode()).hexdigest()[:_DIGEST_CHARACTERS]}.json"
        record = cls(path, digest[:_DIGEST_CHARACTERS], name)
        if again:
            record.series = secrets.token_hex(4)
            return record
        # A record that cannot be read is as good as none: the service's own memory of a day remains.
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            parts = {str(number): SentPart(**part) for number, part in saved["parts"].items()}
            record.name, record.series, record.parts = str(saved["name"]), str(saved["series"]), parts
        return record

    def key(self, number: int) -> str:
        """Return the Idempotency-Key of a part."""
        return "-".join(filter(None, ["pulse", self.digest, self.series, str(number)]))

    def sending(self, number: int, now: Callable[[], float] = time.time) -> None:
        """Note that a part is about to be sent."""
        self.parts.setdefault(str(number), SentPart(now()))
        self._save()

    def accepted(self, number: int, job_id: str) -> None:
        """Note the job of a part."""
        self.parts[str(number)].job_id = job_id
        self._save()

    def forget(self, number: int) -> None:
        """Forget a part whose job the service no longer has."""
        self.parts.pop(str(number), None)

    def _save(self) -> None:
        parts = {number: asdict(part) for number, part in self.parts.items()}
        text = json.dumps({"name": self.name, "series": self.series, "parts": parts})
        try:
            write_private(self.path, text + "\n")
        except OSError:
            # Within a day, the service's memory is enough.
            self.is_saved = False


def delete_old(folder: Path) -> None:
    """Delete records of files whose jobs have long expired."""
    with contextlib.suppress(OSError):
        for path in folder.glob("*.json"):
            if path.stat().st_mtime < time.time() - _KEPT_SECONDS:
                path.unlink(missing_ok=True)
