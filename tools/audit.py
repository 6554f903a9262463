"""Ask OSV for known vulnerabilities of every locked package: ``python -m tools.audit``.

pip-audit can ask the package index instead. But a mirror has no data on vulnerabilities, and pip-audit then finds none.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

from local.checkout import ROOT

_SECONDS = 300


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 1 for a vulnerability, or for no answer where one is required."""
    parser = argparse.ArgumentParser(prog="tools.audit", description="Check the lock for known vulnerabilities.")
    parser.add_argument("--require-service", action="store_true", help="fail when the service cannot be reached")
    options = parser.parse_args(arguments)
    command = [
        *(sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--format", "json", "--timeout", "10"),
        *("--disable-pip", "--require-hashes", "--progress-spinner", "off"),
        *("--requirement", str(ROOT / "requirements.lock")),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
        report, complaint = done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        report, complaint = "", f"it did not end within {_SECONDS} s"
    code, line = judge(report, complaint, required=options.require_service)
    print(line, file=sys.stderr if code else sys.stdout)
    return code


def judge(report: str, complaint: str, *, required: bool) -> tuple[int, str]:
    """Return the exit code and the message for a run of pip-audit that printed a report (JSON) and a complaint.

    A package without an answer is a failure where one is required.
    """
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        reason = complaint.strip().splitlines()[-1:] or ["pip-audit printed nothing"]
        return int(required), f"audit: skipped, no answer from the vulnerability service: {reason[0][:300]}"
    flaws = [
        f"audit: {package['name']} {package['version']}: {flaw['id']}, "
        f"fixed in {', '.join(flaw['fix_versions']) or 'no release'}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    gaps = [f"audit: no data on {', '.join(unknown)}"] if unknown else []
    if not packages:
        flaws.append("audit: the lock has no packages")
    message = "\n".join(flaws + gaps) or f"audit: no known vulnerability in {len(packages)} packages"
    return int(bool(flaws or (required and gaps))), message


if __name__ == "__main__":
    sys.exit(main())
