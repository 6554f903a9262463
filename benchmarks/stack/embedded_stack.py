"""Prints what the embedded stack handles: ``python -m benchmarks.stack.embedded_stack``."""

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from local.client import ApiClient
from local.images.server import ImageServer
from local.stack.process import StackProcess
from tests.support.loads import add_images, run_burst, run_job, submit_large_job


def main() -> int:
    """Measure everything and print a table."""
    table = Table("what", "figure", title="The embedded stack")
    for column in table.columns:
        column.no_wrap = True
    row: Callable[[str, str], None] = table.add_row
    begin = time.monotonic()
    with ImageServer() as server, StackProcess() as stack, ApiClient(stack.url, stack.api_key) as client:
        row("from the command to ready", f"{time.monotonic() - begin:.1f} s")
        perimeters = add_images(server, 1000)
        for name in ("first", "second"):
            outcome = run_job(client, perimeters)
            right = outcome.images - len(outcome.wrong)
            what = f"1,000 images of 100 KB with delays, {name} run"
            row(what, f"{outcome.seconds:.1f} s, {outcome.status}, {right} right")
        burst = run_burst(stack, list(perimeters)[:5], 200)
        row("200 submissions at once", f"{dict(burst.codes)} in {burst.accepted_seconds:.1f} s")
        row("  all of them ended", f"{dict(burst.statuses)} after {burst.seconds:.1f} s")
        megabytes = burst.peak_bytes / 2**20
        row("  most memory of the whole stack", f"{megabytes:.0f} MB in {burst.peak_processes} processes")
        large = submit_large_job(client, next(iter(perimeters)), 20_000)
        row("20,000 images in one POST", f"{large.code} in {large.accepted_seconds:.2f} s")
        row("  its status, while it runs", f"{large.large_status_seconds * 1000:.0f} ms, {large.large_status}")
        row("  the status of a job of two", f"{large.small_status_seconds * 1000:.0f} ms")
        begin = time.monotonic()
    row("from SIGTERM to the end, in the middle of that job", f"{time.monotonic() - begin:.1f} s")
    Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
