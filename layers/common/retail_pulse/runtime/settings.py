"""Per-function settings, read from environment variables once per cold start.

A field's name in capitals is the variable's name; `tests/infra` compares the models with the template.
"""

import ipaddress
import os
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Self, get_type_hints

from retail_pulse import VERSION
from retail_pulse.domain.errors import SettingsError
from retail_pulse.domain.networks import Network


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _range(text: str) -> range:
    """Read ``80`` or ``8000-8999``, both ends included."""
    first, dash, last = text.partition("-")
    numbers = range(int(first), int(last if dash else first) + 1)
    if not numbers:
        raise ValueError(f"{text} ends before it begins")
    return numbers


def _zone(name: str) -> tzinfo:
    """Read a time zone of the IANA database; dateutil has a copy for systems without one."""
    from dateutil.tz import gettz  # type: ignore[import-untyped]

    zone: tzinfo | None = gettz(name) if name else None
    if zone is None:
        raise ValueError(f"{name} is not a time zone")
    return zone


# How a variable is read, by the type of its field.
_READERS: Mapping[object, Callable[[str], object]] = {
    str: str,
    int: int,
    float: float,
    tzinfo: _zone,
    tuple[str, ...]: _parts,
    tuple[range, ...]: lambda text: tuple(map(_range, _parts(text))),
    tuple[Network, ...]: lambda text: tuple(map(ipaddress.ip_network, _parts(text))),
}


class _Settings:
    """What every function reads. Not dataclasses: making six of them would take 3 ms of every cold start."""

    table_name: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings.

        Raises
        ------
        SettingsError
            A variable is missing or cannot be read as its field's type; the text names it.
        """
        settings = cls()
        for name, kind in get_type_hints(cls).items():
            variable = name.upper()
            if variable not in environment:
                raise SettingsError(f"{variable} is missing")
            try:
                setattr(settings, name, _READERS[kind](environment[variable]))
            except ValueError as error:
                raise SettingsError(f"{variable}: {error}") from error
        return settings


class _JobSettings(_Settings):
    """What every function that sends messages reads."""

    queue_url: str
    stall_seconds: int
    automatic_runs: int


class AuthorizeSettings(_Settings):
    """The authorize function's settings."""

    local_key: str


class StatusSettings(_Settings):
    """The status function's settings."""

    report_time_zone: tzinfo


class ReprocessSettings(_JobSettings):
    """The reprocess function's settings."""


class SubmitSettings(_JobSettings):
    """The submit function's settings."""

    max_body_bytes: int
    max_job_visits: int
    max_job_images: int
    chunk_images: int
    chunk_bytes: int
    job_retention_days: int


class ProcessSettings(_JobSettings):
    """The process function's settings."""

    delay_min_seconds: float
    delay_max_seconds: float
    threads: int
    connect_timeout_seconds: float
    read_timeout_seconds: float
    image_deadline_seconds: float
    max_image_bytes: int
    max_image_side: int
    pixel_check: str
    memory_megabytes: int
    max_redirects: int
    max_requests_per_host: int
    allowed_networks: tuple[Network, ...]
    allowed_ports: tuple[range, ...]
    allowed_hosts: tuple[str, ...]
    own_hosts: tuple[str, ...]
    contact_url: str
    image_tries: int
    image_retry_seconds: int
    first_wait_seconds: float
    longest_wait_seconds: float
    inline_wait_seconds: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings, and check those that depend on each other; raise `SettingsError`."""
        settings = super().from_environment(environment)
        if settings.delay_min_seconds > settings.delay_max_seconds:
            raise SettingsError("DELAY_MIN_SECONDS must not be greater than DELAY_MAX_SECONDS")
        return settings

    @property
    def user_agent(self) -> str:
        """The User-Agent of the requests for images: who calls, and where to complain."""
        return f"retail-pulse/{VERSION} (+{self.contact_url})"
