"""Runs every case through the fetcher, and writes the table of `docs/addresses.md`.

`python -m tests.measuring.address_table` writes the table; a test compares it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from local.checkout import ROOT
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.cases import PUBLIC, Case, own, recorded
from tests.measuring.hostile_server import LOOPBACK, PATIENT
from tests.measuring.network import SimulatedNetwork

DOCUMENT = ROOT / "docs" / "addresses.md"
_BEGIN = "<!-- addresses: written by `make addresses`; do not edit -->\n"
_END = "<!-- addresses: end -->\n"
_POLICIES = {
    "strict": CallPolicy(),
    "loopback": LOOPBACK,
    "ports": CallPolicy((), LOOPBACK.ports),
    "range": CallPolicy((), [range(80, 81), range(8000, 9000)]),
    "hosts": CallPolicy(hosts=("img.example.test", "*.cdn.test", ".shop.test")),
    "own": CallPolicy(own_hosts=("api.test", "xn--bcher-kva.test", "port.test:443", "198.41.0.4")),
}
# Recorded cases only ask which address is called. These two are refused by further rules: only ports 80 and 443 unless
# a parameter says otherwise, and no credentials in URLs.
STRICTER = {"name-public/port 8080", "url-form/http://127.0.0.1@ok.test/"}
# The codes of a refusal. Any other code would mean that something else failed first.
REFUSALS = {FailureCode.INVALID_URL, FailureCode.BLOCKED_ADDRESS, FailureCode.DNS_FAILED}


@dataclass(frozen=True, slots=True)
class Tried:
    """The addresses that a case connected to, and the code of each measurement with the messages of the refusals."""

    case: Case
    connected: Sequence[str]
    codes: Sequence[FailureCode | None]  # None for a measured image
    messages: Sequence[str]

    @property
    def let_through(self) -> bool:
        """Whether a case that must be refused connected to an address that is not allowed."""
        if self.case.expected == "allow":
            return False
        measured = None in self.codes and not self.case.public_connect_ok
        return measured or not PUBLIC.issuperset(self.connected)

    @property
    def refused_wrongly(self) -> bool:
        """Whether a case that must work was refused."""
        return self.case.expected == "allow" and any(code is not None for code in self.codes)


@cache
def _fetcher(policy: str) -> Fetcher:
    # One for all cases of a policy: every simulated connection ends with its response.
    return Fetcher(PATIENT, _POLICIES[policy], Hosts(100))


def try_case(case: Case) -> Tried:
    """Return the result of measuring a case's URL, once more than its names have different answers."""
    network = SimulatedNetwork(case)
    times = max([1, *(len(answers) + 1 for answers in case.resolver.values() if len(answers) > 1)])
    errors = [network.failure(_fetcher(case.policy)) for _ in range(times)]
    codes = [error.code if error else None for error in errors]
    return Tried(case, network.connected, codes, [error.message for error in errors if error])


@cache
def all_tried() -> list[Tried]:
    """Return the results of all cases."""
    cases = [replace(case, expected="refuse") if case.name in STRICTER else case for case in recorded()] + own()
    return [try_case(case) for case in cases]


def table() -> str:
    """Return the table in Markdown, one row per group."""
    lines = [
        "| tried | for example | must be refused | let through | must work | refused wrongly |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[str, list[Tried]] = {}
    for tried in all_tried():
        groups.setdefault(tried.case.group, []).append(tried)
    for group, members in groups.items():
        lines.append(f"| {group} | {_example(members[0].case)} | {_counts(members)} |")
    lines.append(f"| **all {len(all_tried()):,}** | | {_counts(all_tried())} |")
    return "\n".join(lines) + "\n"


def _counts(members: Sequence[Tried]) -> str:
    must_work = sum(tried.case.expected == "allow" for tried in members)
    let_through = sum(tried.let_through for tried in members)
    refused_wrongly = sum(tried.refused_wrongly for tried in members)
    return f"{len(members) - must_work:,} | {let_through} | {must_work:,} | {refused_wrongly}"


def _example(case: Case) -> str:
    answers = case.resolver.get(case.url.partition("//")[2].partition("/")[0], [])
    texts = [case.url, *(location for _, location in case.redirects)]
    plain = [text.encode("ascii", "backslashreplace").decode().replace("|", "%7C")[:70] for text in texts]
    if answers and not case.redirects:
        plain[0] += f" = {', then '.join(' and '.join(answer) for answer in answers)}"
    return f"`{' → '.join(plain)}`"


def documented(text: str) -> str:
    """Return the document with the table of this run."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError("the document has no place for the table")
    return before + begin + "\n" + table() + "\n" + end + after


if __name__ == "__main__":
    DOCUMENT.write_text(documented(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(table())
