"""Per-function settings, read from environment variables once per cold start.

A field's name in capitals is the variable's name; `tests/infra` compares the models with the template.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self, get_type_hints

from retail_pulse.domain.errors import SettingsError
from retail_pulse.domain.networks import Network


class _Settings:
    """Base of the settings models."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings.

        Raises
        ------
        SettingsError
            A variable is missing or cannot be read as its field's type; the text names it.
        """
        kinds = get_type_hints(cls)
        values: dict[str, object] = {}
        for field in fields(cls):  # type: ignore[arg-type]  # every subclass is a dataclass
            variable = field.name.upper()
            if variable not in environment:
                raise SettingsError(f"{variable} is missing")
            try:
                values[field.name] = _read(kinds[field.name], environment[variable])
            except ValueError as error:
                raise SettingsError(f"{variable}: {error}") from error
        return cls(**values)


def _read(kind: object, text: str) -> object:
    if kind is int:
        return int(text)
    if kind is float:
        return float(text)
    if kind == tuple[Network, ...]:
        return tuple(ipaddress.ip_network(part) for part in _parts(text))
    if kind == tuple[range, ...]:
        return tuple(map(_read_range, _parts(text)))
    if kind == tuple[str, ...]:
        return _parts(text)
    return text


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _read_range(text: str) -> range:
    """Read ``80`` or ``8000-8999``, both ends included."""
    first, dash, last = text.partition("-")
    numbers = range(int(first), int(last if dash else first) + 1)
    if not numbers:
        raise ValueError(f"{text} ends before it begins")
    return numbers


@dataclass(frozen=True, slots=True)
class AuthorizeSettings(_Settings):
    """The authorize function's settings."""

    table_name: str


@dataclass(frozen=True, slots=True)
class SubmitSettings(_Settings):
    """The submit function's settings."""

    table_name: str
    queue_url: str
    max_body_bytes: int
    max_job_visits: int
    max_job_images: int
    chunk_images: int
    chunk_bytes: int
    job_retention_days: int
    stall_seconds: int
    automatic_runs: int


@dataclass(frozen=True, slots=True)
class ProcessSettings(_Settings):
    """The process function's settings."""

    table_name: str
    queue_url: str
    delay_min_seconds: float
    delay_max_seconds: float
    threads: int
    connect_timeout_seconds: float
    read_timeout_seconds: float
    image_deadline_seconds: float
    max_image_bytes: int
    max_image_side: int
    max_redirects: int
    allowed_networks: tuple[Network, ...]
    allowed_ports: tuple[range, ...]
    allowed_hosts: tuple[str, ...]
    image_tries: int
    image_retry_seconds: int
    first_wait_seconds: float
    longest_wait_seconds: float
    inline_wait_seconds: float
    stall_seconds: int
    automatic_runs: int

    def __post_init__(self) -> None:
        if self.delay_min_seconds > self.delay_max_seconds:
            raise SettingsError("DELAY_MIN_SECONDS must not be greater than DELAY_MAX_SECONDS")


@dataclass(frozen=True, slots=True)
class ReprocessSettings(_Settings):
    """The reprocess function's settings."""

    table_name: str
    queue_url: str
    stall_seconds: int
    automatic_runs: int


@dataclass(frozen=True, slots=True)
class StatusSettings(_Settings):
    """The status function's settings."""

    table_name: str
