"""Counts truncated files that are missed, and false alarms on complete files, in the corpus of the tests."""

from benchmarks.harness.report import Figure, Section, Settings, Table
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.corpus import corpus, cuts

_BLOCK = 65_536


def measure(settings: Settings) -> Section:
    """Cut each file at many places, and at every byte near its start and end."""
    rows = []
    all_cut = all_missed = all_false = 0
    for file in corpus():
        lengths = cuts(file, 90 if settings.quick else 3_000)
        missed = sum(_is_measured(file.content[:length], file.size) for length in lengths)
        # The complete file, also without what follows the picture.
        complete = (file.content, file.content[: file.whole_bytes])
        wrong = sum(not _is_measured(content, file.size) for content in complete)
        all_cut, all_missed, all_false = all_cut + len(lengths), all_missed + missed, all_false + wrong
        rows.append([file.name, f"{len(lengths):,}", f"{missed}", f"{wrong}"])
    return Section(
        "Truncated files",
        f"Each of {len(rows)} generated files is read once for every place where it is cut, and as a complete file.",
        [
            Figure(f"truncated files missed, of {all_cut:,}", all_missed, 0),
            Figure(f"false alarms, of {2 * len(rows)} complete files", all_false, 0),
        ],
        [Table("The corpus", ("file", "cuts", "missed", "false alarms"), rows, detail=True)],
    )


def _is_measured(content: bytes, size: tuple[int, int]) -> bool:
    with SizeReader(100_000) as reader:
        try:
            for start in range(0, len(content), _BLOCK):
                reader.feed(content[start : start + _BLOCK])
            measured = reader.result()
        except MeasuringError:
            return False
    return (measured.width, measured.height) == size
