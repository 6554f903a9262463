"""`make bench` without the measuring: what it stores, writes and prints."""

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.harness import pace, page, plots, record
from benchmarks.harness.page import BEGIN, END, MEASUREMENTS, PERFORMANCE, SCALING, PageError, contents, number, update
from benchmarks.harness.record import Measurement, Run
from benchmarks.harness.report import Bars, Figure, Plot, Section, Settings, SkippedError, Table

RUN = Run("make bench", "2 × a processor", "CPython 3.13.0", "2026-11-25", 0.25, 0.5)
CURVE = Plot("threads", "Images per second", "threads", "1/s", {"100 KB": [(1, 10.0), (2, 19.5)]}, log_x=True)
SECTION = Section(
    "The worker",
    "A thousand images.",
    [
        Figure("wall time against the ideal", 1.125, 1.25),
        Figure("images per second of CPU time", 940, 1000, "1/s", at_least=True),
    ],
    [Table("By threads", ("threads", "a|b"), [("1", "10")])],
    [CURVE],
)
BARS = Bars("clients", "CPU time", "ms", {"ours": 0.5})
DETAIL = Table("Each call", ("call", "times"), [("PutItem", "1")], detail=True)
EMPTY = f"# Performance\n\nBefore.\n\n{BEGIN}\n\nstale\n\n{END}\n\nAfter.\n"


def page_of(page: Path, **sections: Section) -> str:
    """Return the measured parts of a page."""
    kept = {name: Measurement(section, RUN) for name, section in sections.items()}
    return "\n\n".join(contents(kept, list(kept))[page])


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return where `make bench` stores the results of two modules; the module `broken` fails."""

    def run_in_new_process(_: object, name: str = "pace", *settings: Settings) -> float | Section:
        if name == "broken":
            raise OSError("no port is free")
        if name == "elsewhere":
            raise SkippedError("it is not installed")
        return SECTION if settings else 0.5

    monkeypatch.setattr(command, "MODULES", ("broken", "worker"))
    monkeypatch.setattr(command, "run_in_new_process", run_in_new_process)
    kept: dict[str, Measurement] = {}

    def store(measurements: Mapping[str, Measurement]) -> None:
        kept.update(measurements)
        record.save(kept, tmp_path / "results.json")

    monkeypatch.setattr(command, "_store", store)
    return tmp_path / "results.json"


def test_every_listed_module_has_a_measure_function() -> None:
    for name in command.MODULES:
        measure = importlib.import_module(f"benchmarks.sections.{name}").measure
        assert list(inspect.signature(measure).parameters) == ["settings"], name


def test_every_module_with_a_measure_function_is_listed() -> None:
    files = (Path(command.__file__).parent / "sections").glob("*.py")
    measuring = {file.stem for file in files if "\ndef measure(settings: Settings)" in file.read_text("utf-8")}
    assert measuring == set(command.MODULES)


def test_the_pace_is_half_if_a_plain_download_takes_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    downloads: list[str] = []
    monkeypatch.setattr(pace, "plain_download", downloads.append)
    monkeypatch.setattr("time.process_time", lambda: len(downloads) * 2 * pace.REFERENCE_MS / 1000)
    assert pace.measure_pace() == pytest.approx(0.5)


def test_every_module_has_results() -> None:
    assert record.load().keys() == set(command.MODULES)


def test_the_profile_of_the_worker_is_on_its_page() -> None:
    tables = record.load()["worker"].section.tables
    assert any(table.title.startswith("Where the CPU time of the worker goes") for table in tables)


def test_results_are_read_as_they_were_stored(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    record.save({"worker": Measurement(replace(SECTION, bars=[BARS]), RUN)}, path)
    kept = record.load(path)
    record.save(kept, tmp_path / "again.json")

    assert kept["worker"].section.figures == SECTION.figures
    assert kept["worker"].section.bars == [BARS]
    assert kept["worker"].run == RUN
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_there_are_no_results_before_the_first_run(tmp_path: Path) -> None:
    assert record.load(tmp_path / "results.json") == {}


def test_the_pages_are_written_from_the_results() -> None:
    for path, text in page.written(record.load(), command.MODULES).items():
        assert path.read_text(encoding="utf-8") == text, "run `make bench`, or undo edits by hand"


def test_every_plot_of_the_folder_is_shown() -> None:
    shown = {f"{plot.name}.svg" for kept in record.load().values() for plot in kept.section.drawings}
    assert shown == {path.name for path in page.PLOTS.glob("*")}


def test_the_hand_written_parts_of_a_page_stay() -> None:
    text = update(EMPTY, ["new"])

    assert text == f"# Performance\n\nBefore.\n\n{BEGIN}\n\nnew\n\n{END}\n\nAfter.\n"
    assert update(text, ["new"]) == text


def test_a_page_shows_which_figures_are_met_and_how_they_were_measured() -> None:
    text = page_of(PERFORMANCE, worker=SECTION)

    assert "| wall time against the ideal | 1.12 | at most 1.25 | met | [worker](#the-worker) |" in text
    assert "| images per second of CPU time | 940 1/s | at least 1,000 1/s | not met | [worker](#the-worker) |" in text
    assert "| threads | a\\|b |\n| --- | --- |\n| 1 | 10 |" in text
    assert "![Images per second](plots/threads.svg)" in text
    assert (
        "`make bench` on the code of 2026-11-25: 2 × a processor, CPython 3.13.0, load 0.2 at the start, pace 0.5."
        in text
    )


def test_sections_are_in_the_order_of_the_modules() -> None:
    kept = {name: Measurement(Section(f"About {name}", "."), RUN) for name in ("second", "first")}
    text = "\n\n".join(contents(kept, ["first", "unmeasured", "second"])[PERFORMANCE])
    assert text.index("## About first") < text.index("## About second")


def test_details_are_on_a_page_of_their_own_and_the_two_parts_are_linked() -> None:
    both = replace(SECTION, tables=[*SECTION.tables, DETAIL], bars=[BARS], details="Why so.")
    first, second = (page_of(page, worker=both) for page in (PERFORMANCE, MEASUREMENTS))

    assert ("**By threads**" in first, "**Each call**" in first) == (True, False)
    assert ("**By threads**" in second, "**Each call**" in second) == (False, True)
    assert ("A thousand images." in second, "plots/threads.svg" in second) == (False, False)
    assert ("plots/clients.svg" in first, "plots/clients.svg" in second) == (True, False)
    assert ("Why so." in first, "Why so." in second) == (False, True)
    assert "(measurements.md#the-worker)" in first
    assert "## The worker\n\n[How this was measured](performance.md#the-worker)" in second
    assert second.endswith("pace 0.5.</sub>")


def test_a_section_of_details_is_not_divided_and_its_figures_link_to_it() -> None:
    details = replace(SECTION, tables=[DETAIL], plots=[])
    first, second = (page_of(page, worker=details) for page in (PERFORMANCE, MEASUREMENTS))

    assert "| met | [worker](measurements.md#the-worker) |" in first
    assert "## The worker" not in first
    assert "## The worker\n\nA thousand images.\n\n**Each call**" in second


def test_the_quotas_have_a_page_for_themselves() -> None:
    assert "## The worker" in page_of(SCALING, quotas=SECTION)
    assert "## The worker" not in page_of(PERFORMANCE, quotas=SECTION)


def test_every_table_and_text_is_on_one_page() -> None:
    kept = record.load()
    written = "\n".join(part for parts in contents(kept, command.MODULES).values() for part in parts)
    sections = [measurement.section for measurement in kept.values()]
    titles = [f"**{table.title}**" for section in sections for table in section.tables]
    assert [text for text in [*titles, *(section.text for section in sections)] if written.count(text) != 1] == []


@pytest.mark.parametrize("missing", [BEGIN, END])
def test_a_page_without_its_marks_is_refused(missing: str) -> None:
    with pytest.raises(PageError, match="lacks the line"):
        update(EMPTY.replace(missing, ""), [])


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (100, "100"), (99.95, "100"), (1.0, "1"), (0.04567, "0.0457"), (0, "0")]
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_equal_points_give_equal_files(tmp_path: Path) -> None:
    first, second = (plots.draw(CURVE, tmp_path / name).read_bytes() for name in ("one", "two"))
    assert first == second
    assert b"<dc:date>" not in first


def test_a_logarithmic_axis_is_labelled_with_the_measured_values(tmp_path: Path) -> None:
    large = Plot("size", "By size", "bytes", "ms", {"ours": [(5000, 1.0), (1_000_000, 2.0)]}, log_x=True)
    drawn = plots.draw(large, tmp_path).read_text("utf-8")
    assert ">5,000<" in drawn
    assert ">1,000,000<" in drawn


def test_bars_are_labelled_with_their_names_and_lengths(tmp_path: Path) -> None:
    drawn = plots.draw(Bars("clients", "CPU time", "ms", {"ours": 0.123, "other": 0.456}), tmp_path).read_text("utf-8")
    assert all(f">{label}<" in drawn for label in ("ours", "other", "0.12", "0.46"))


def test_the_command_prints_one_line_per_figure_and_stores_the_results(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--only", "worker"]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "met      wall time against the ideal: 1.12, at most 1.25",
        "not met  images per second of CPU time: 940 1/s, at least 1,000 1/s",
    ]
    assert record.load(measured)["worker"].run.command == "make bench ONLY=worker"


def test_a_failed_module_is_named_and_the_others_are_still_measured(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([]) == 2
    output = capsys.readouterr()
    assert output.out.splitlines()[-1] == "failed   broken"
    assert "no port is free" in output.err
    assert list(record.load(measured)) == ["worker"]


def test_a_skipped_module_is_named_and_stores_nothing(
    measured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MODULES", ("elsewhere",))
    assert command.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "skipped  elsewhere: it is not installed"
    assert not measured.exists()


def test_a_quick_run_stores_nothing(measured: Path) -> None:
    command.main(["--quick", "--only", "worker"])
    assert not measured.exists()
