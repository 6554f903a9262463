"""Reads the files of `iso_files`, in blocks of any size."""

from typing import Any

from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.formats.size import SizeReader
from retail_pulse.measuring.steps import BYTES_PER_STEP, StepBudget
from tests.measuring.iso_files import Iso, Item, clap, ispe

INVALID = "not_an_image: the boxes that hold the size are invalid"
TOO_LARGE = "not_an_image: the boxes that describe the pictures are larger than 262,144 bytes"
UNRECOGNIZED = "not_an_image: not a recognized image format"


def outcome(content: bytes, block: int | None = None) -> str:
    """Return the format and size of a file, or its error."""
    block = block or max(1, len(content))
    budget = StepBudget()
    budget.received(100_000 * BYTES_PER_STEP)
    with SizeReader(100_000, budget) as reader:
        try:
            for start in range(0, len(content), block):
                reader.feed(content[start : start + block])
            measured = reader.result()
        except MeasuringError as error:
            return str(error)
    return f"{measured.format} {measured.width} x {measured.height}"


def read(content: bytes) -> str:
    """Return the outcome of a file, which is the same however it is split."""
    outcomes = {outcome(content, block) for block in (None, 1, 7, 100)}
    assert len(outcomes) == 1, outcomes
    return outcomes.pop()


def is_cut(content: bytes, length: int) -> bool:
    """Return whether a file is truncated after some bytes, and is measured with one more."""
    found = [outcome(content[:cut]) for cut in (length, length + 1)]
    return found[0].startswith("truncated: the ") and f"ends after {length:,} bytes" in found[0] and " x " in found[1]


def sized(*properties: bytes, **options: Any) -> Iso:
    """Return a file whose primary item has properties in this order; a thumbnail comes before it."""
    thumbnail = Item(2, properties=(len(properties) + 1, len(properties) + 2))
    primary = Item(1, properties=range(1, len(properties) + 1))
    return Iso([thumbnail, primary], [*properties, ispe(16, 12), clap(8, 6)], **options)
