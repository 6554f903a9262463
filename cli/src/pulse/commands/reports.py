"""What commands show of a job: its counts, and why images failed."""

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from rich.text import Text

from pulse.client import Client, Query
from pulse.explain import ADVICE
from pulse.output import counted, local_time, note, out, status_text, table

# So many failed images are read for a summary.
_MAX_READ: Final = 1000


def is_without_failures(details: Mapping[str, Any]) -> bool:
    """Return whether no image of a job has failed."""
    return not details["images"]["failed"]


def job_summary(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a document says of a job that was waited for."""
    images = details["images"]
    return {"status": details["status"], "measured": images["measured"], "failed": images["failed"]}


def show_job(client: Client, details: Mapping[str, Any], *, with_times: bool = False) -> None:
    """Show a job's status and counts, perhaps its times, and the reasons of its failures with what to do."""
    images = details["images"]
    counts = [f"{images[name]:,} {name}" for name in ("measured", "failed", "pending") if images[name]]
    out(Text.assemble(f"Job {details['job_id']} ", status_text(details["status"]), f": {', '.join(counts)}"))
    if with_times:
        times = {"submitted": details["created_at"], "ended": details["ended_at"], "kept until": details["expires_at"]}
        out("; ".join(f"{name} {local_time(time)}" for name, time in times.items() if time))
    if images["failed"]:
        _show_reasons(client, details["job_id"], images["failed"])


def _show_reasons(client: Client, job_id: str, failed: int) -> None:
    query: Query = {"outcome": "failed", "limit": min(failed, _MAX_READ)}
    rows = list(islice(client.rows(f"/api/jobs/{job_id}/results", "results", query), _MAX_READ))
    codes = Counter(row["error"]["code"] for row in rows)
    stores = {code: {row["store_id"] for row in rows if row["error"]["code"] == code} for code in codes}
    shown = table("Reason", "Images", "Stores", "What to do", right=["Images", "Stores"], fold=["What to do"])
    for code, count in codes.most_common():
        advice = ADVICE.get(code, "see /docs/errors of the service").replace("JOB", job_id)
        shown.add_row(Text(code, "red"), f"{count:,}", f"{len(stores[code]):,}", advice)
    out(shown)
    if failed > len(rows):
        note(f"The reasons are those of the first {counted(len(rows), 'failed image')}.")
    note(
        f"Next: pulse results {job_id} --failed         shows each of them",
        f"      pulse fix {job_id} -o to-correct.csv    saves a file to correct",
        f"      pulse retry {job_id}                    downloads them again",
    )
