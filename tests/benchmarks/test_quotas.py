"""The arithmetic of loads and quotas, on invented counts."""

import pytest

from benchmarks.sections import quotas
from benchmarks.sections.quotas import Counted, first_to_break, headroom

COUNTED = Counted(
    write_units=0.5, read_units=0.04, row_write_units=0.25, by_client_write_units=0.002, by_due_write_units=0.002,
    chunk_write_units=0.1, chunks=0.02,
    api_requests=0.006, seconds=0.005, all_seconds=0.006,
)  # fmt: skip


def test_quotas_and_loads_have_the_same_names() -> None:
    assert COUNTED.loads(1).keys() == quotas._DATA["quotas"].keys()


def test_every_quota_names_its_page_at_aws() -> None:
    entries = [*quotas._DATA["quotas"].values(), *quotas._DATA["growth"].values(), quotas._DATA["call_bytes"]]
    assert all(entry["source"].startswith("https://docs.aws.amazon.com/") for entry in entries)


def test_loads_are_per_second() -> None:
    loads = COUNTED.loads(1000)
    assert loads["table_writes"] == 500
    assert (loads["mapping"], loads["concurrency"]) == pytest.approx((5, 6))
    assert (loads["client_partition"], loads["due_partition"]) == pytest.approx((2, 0.25))
    assert loads["in_flight"] == pytest.approx(50)


def test_the_schedule_does_not_depend_on_the_load() -> None:
    assert COUNTED.loads(1)["schedule"] == COUNTED.loads(10**6)["schedule"]


def test_exceeded_quotas_are_named_most_exceeded_first() -> None:
    assert first_to_break(COUNTED.loads(1000)) == []
    broken = first_to_break(COUNTED.loads(100_000))
    assert [name.partition(",")[0] for name in broken] == [
        "DynamoDB: one partition",
        "DynamoDB: a new on-demand table",
        "DynamoDB: one on-demand table with its indexes",
    ]


def test_an_exceeded_quota_is_bold() -> None:
    assert headroom(1000, 500) == "2×"
    assert headroom(1000, 4000) == "**0.25×**"
