"""What ours is compared with: other clients, and the naive loop and submit."""

import sys
from pathlib import Path

import pytest

from benchmarks.harness.processes import made_in_new_process
from benchmarks.harness.report import Settings, SkippedError
from benchmarks.sections import peers
from benchmarks.world import clients
from benchmarks.world.aws_stand_in.server import AwsStandIn
from benchmarks.world.download_path import DownloadPath
from benchmarks.world.functions import job_body
from benchmarks.world.naive import Naive
from benchmarks.world.served_images import served_images, urls


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure little, with the interpreter of the tests, which has requests but none of the other clients."""
    monkeypatch.setattr(peers, "_PYTHON", Path(sys.executable))
    monkeypatch.setattr(peers, "CLIENTS", {"requests.get": None, "of another interpreter": None})
    monkeypatch.setattr(peers, "_BASELINE", "requests.get")
    monkeypatch.setattr(peers, "_IMAGES", 40)
    monkeypatch.setattr(peers, "_IMAGE_BYTES", 2000)
    monkeypatch.setattr(peers, "_WAIT_SECONDS", 0)


@pytest.mark.usefixtures("small")
def test_clients_take_turns_and_one_that_does_not_start_is_named() -> None:
    section = peers.measure(Settings(quick=True))
    (table,), (bars,), (figure,) = section.tables, section.bars, section.figures
    assert {row[0] for row in table.rows} == set(bars.lengths) == {peers._OURS, peers._UNBOUND, "requests.get"}
    assert list(bars.lengths.values()) == sorted(bars.lengths.values())
    assert figure.measured == pytest.approx(bars.lengths[peers._OURS] / bars.lengths["requests.get"])
    assert section.text.endswith("does not start with this interpreter: of another interpreter.")


@pytest.mark.usefixtures("small")
def test_without_the_client_to_compare_with_the_section_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_BASELINE", "of another interpreter")
    with pytest.raises(SkippedError, match="of another interpreter does not start here"):
        peers.measure(Settings(quick=True))


def test_without_the_environment_the_section_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "_PYTHON", tmp_path / "python")
    with pytest.raises(SkippedError, match="`make peers` installs them"):
        peers.measure(Settings())


def test_a_client_that_measures_something_else_is_refused() -> None:
    class Fixed:
        def __init__(self, width: int) -> None:
            self._width = width

        def measure(self, urls: object) -> clients.Downloads:
            return clients.Downloads(1.0, 1.0, [(self._width, 1)])

    peers._compare_sizes({peers._OURS: Fixed(1), "same": Fixed(1)}, [])
    with pytest.raises(ValueError, match=r"other sizes than ours: other$"):
        peers._compare_sizes({peers._OURS: Fixed(1), "same": Fixed(1), "other": Fixed(2)}, [])


def test_the_naive_ones_write_an_item_and_a_message_per_image() -> None:
    with (
        made_in_new_process(AwsStandIn, seconds=0) as aws,
        served_images(2_000, wait=0) as base,
        made_in_new_process(Naive, aws.url()) as naive,
    ):
        images = urls(base, 60)
        assert naive.process(images) > 0
        assert naive.submit(job_body(images)) > 0
        counts = aws.counts()
    calls = {name: (each.calls, each.items) for name, each in counts.dynamodb.items()}
    assert calls == {("PutItem", "IMAGE"): (60, 60), ("BatchWriteItem", "IMAGE"): (3, 60)}
    assert (counts.sqs["SendMessageBatch"].calls, counts.sqs["SendMessageBatch"].messages) == (6, 60)
    assert counts.stored["IMAGE"][0] == 120


@pytest.mark.parametrize("one_core", [True, False])
def test_the_download_path_measures_what_pillow_does(one_core: bool) -> None:
    with served_images(2_000, wait=0) as base, made_in_new_process(DownloadPath, one_core=one_core) as path:
        images = urls(base, 8)
        assert path.measure(images).sizes == [clients.plain_size(url) for url in images]
