"""``python -m tools.audit``: ask OSV for known vulnerabilities of every locked package.

pip-audit can ask the package index instead, but a mirror knows of no vulnerabilities, and pip-audit then finds none.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 300


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 1 for a vulnerability, or for no answer where one is required."""
    parser = argparse.ArgumentParser(prog="tools.audit", description="Look for known vulnerabilities in the lock.")
    parser.add_argument("--require-service", action="store_true", help="fail when the service cannot be reached")
    options = parser.parse_args(arguments)
    command = [
        *(sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--format", "json", "--timeout", "10"),
        *("--disable-pip", "--require-hashes", "--progress-spinner", "off"),
        *("--requirement", str(ROOT / "requirements.lock")),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        code, line = judge("", f"no answer within {_SECONDS} s", required=options.require_service)
    else:
        code, line = judge(done.stdout, done.stderr, required=options.require_service)
    print(line, file=sys.stderr if code else sys.stdout)
    return code


def judge(report: str, complaint: str, *, required: bool) -> tuple[int, str]:
    """Return the exit code and what to say of pip-audit's run.

    Parameters
    ----------
    report
        What it wrote to standard output: JSON, or nothing when it failed.
    complaint
        What it wrote to standard error.
    required
        Whether packages that nobody could ask about are a failure.
    """
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        reason = complaint.strip().splitlines()[-1:] or ["pip-audit said nothing"]
        return int(required), f"audit: skipped, no answer of the vulnerability service: {reason[0][:300]}"
    found = [
        f"audit: {package['name']} {package['version']}: {flaw['id']}, "
        f"mended in {', '.join(flaw['fix_versions']) or 'none'}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown:
        found.append(f"audit: nothing is known of {', '.join(unknown)}")
    if not packages:
        found.append("audit: the lock names no package")
    flawed = not packages or any(package.get("vulns") for package in packages) or (required and bool(unknown))
    return int(flawed), "\n".join(found) or f"audit: no known vulnerability in {len(packages)} packages"


if __name__ == "__main__":
    sys.exit(main())
