"""Workers with all threads busy stay within the descriptors and the memory of a function."""

import sys
import threading
from collections import Counter

import pytest

from benchmarks.harness.processes import run_in_new_process
from local.images.pictures import Format, make_image
from local.images.server import ImageServer, Pause, WaitFor
from retail_pulse.measuring.download.pool import MAX_IDLE
from tests.measuring.hostile_server import ANSWER, PICTURE
from tests.measuring.many_at_once import grown_bytes, outcomes, outcomes_without_descriptors
from tests.measuring.test_heads import LARGE_HEADS
from tests.support.waiting import END_SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize(("threads", "images"), [(100, 1_200), (400, 800)])
def test_no_number_of_hosts_takes_more_descriptors_than_the_idle_connections_and_the_threads(
    threads: int, images: int
) -> None:
    with ImageServer(host="0.0.0.0") as server:
        # A host's images arrive one after the other, so that several of its connections are open at once.
        server.script("/a.png", [Pause(0.05), ANSWER])
        hosts = [f"http://127.0.0.{2 + n * 100 // images}:{server.port}" for n in range(images)]
        found, most = run_in_new_process(outcomes, [f"{host}/a.png" for host in hosts], threads)
    assert found == {"PNG": images}
    print("MOST", most)
    # One is for the list of descriptors.
    assert most <= MAX_IDLE + threads + 1


def test_a_shortage_of_descriptors_costs_no_image_an_attempt() -> None:
    with ImageServer() as server:
        url = server.add("/a.png", PICTURE)
        tiff = server.add("/a.tiff", make_image(Format.TIFF, 300, 300, bytes_at_least=200_000))
        found = run_in_new_process(outcomes_without_descriptors, url, tiff)
    short = ("processing_error", "this service is short of memory or file descriptors right now", True, False)
    assert found[:3] == [short] * 3
    assert found[3][0] == "processing_error"
    assert found[3][2:] == (True, False)
    assert found[4:7] == ["PNG", "TIFF", "PNG"]
    # The rest depends on the machine's name server.
    assert found[7][0] == "dns_failed"


@pytest.mark.parametrize("name", ["16,000 lines that end in a bare CR", "many fields that are used"])
def test_a_hundred_large_heads_at_once_stay_within_20_mb(name: str) -> None:
    begun = threading.Event()
    with ImageServer() as server:
        server.script("/small.png", [ANSWER])
        head = LARGE_HEADS[name].removesuffix(b"\r\n")
        # A head of 64 KB, which is held while its body is awaited.
        server.script("/a.png", [head + b"Content-Length: %d\r\n\r\n" % len(PICTURE), WaitFor(begun), PICTURE])

        def wait_for_all() -> None:
            assert server.wait_for_requests(100, path="/a.png", timeout=END_SECONDS)
            begun.set()

        waiting = threading.Thread(target=wait_for_all)
        waiting.start()
        found, grown = run_in_new_process(grown_bytes, server.url("/small.png"), server.url("/a.png"), 100)
        waiting.join()
    assert found == Counter({"PNG": 100})
    print("GROWN", grown)
    assert grown < 20_000_000
