"""What a client can do to another one that shares the stack, and to the hosts of images.

Two clients have keys: `mallory` attacks, and `alice` has ordinary images. `make strangers` measures more of it.
"""

import itertools
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trustme

from local.client import ApiClient
from local.images.pictures import Format, make_image
from local.images.server import (
    Action,
    Answer,
    ImageServer,
    Pause,
    Request,
    WaitFor,
    head,
    held,
    ok,
    stalled,
    unavailable,
)
from local.stack.process import StackProcess
from retail_pulse.domain.api_keys import new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable
from tests.support.waiting import END_SECONDS

STORE = "S00339218"
# Few enough that one client's images can hold all threads of a worker.
THREADS = 4
GOOD, WRONG = (make_image(Format.PNG, side, side) for side in (10, 20))
GOOD_ANSWER, WRONG_ANSWER = (head(len(picture), "image/png") + picture for picture in (GOOD, WRONG))


@dataclass(frozen=True, slots=True)
class Shared:
    """A stack of two workers with few threads each, two clients of it, and what its servers need for TLS."""

    mallory: ApiClient
    alice: ApiClient
    tls: ssl.SSLContext


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(bundle))
        stack = StackProcess(parameters={"ProcessThreads": str(THREADS)})
        stack.start()
    table = ApiKeysTable(stack.client("dynamodb"), stack.table_name)
    keys = {name: new_key() for name in ("mallory", "alice")}
    try:
        for name, key in keys.items():
            table.issue(key, name)
        with ApiClient(stack.url, keys["mallory"]) as mallory, ApiClient(stack.url, keys["alice"]) as alice:
            yield Shared(mallory, alice, tls)
    finally:
        stack.stop()


def widths(client: ApiClient, job: int) -> list[int | None]:
    return [row["width"] for row in client.results(job)]


def submit_as_one_batch(shared: Shared, server: ImageServer, mallorys: list[str], alices: list[str]) -> int:
    """Submit a job of each client while both workers are held, so that one worker receives both; return alice's job."""
    free = threading.Event()
    for worker in (1, 2):
        path = f"/held-{worker}.png"
        shared.mallory.submit((STORE, [server.script(path, held(GOOD, free))]))
        assert server.wait_for_requests(1, path=path, timeout=END_SECONDS)
    shared.mallory.submit((STORE, mallorys))
    job = shared.alice.submit((STORE, alices))
    free.set()
    return job


def test_an_answer_that_comes_late_is_not_measured_as_another_clients_image(
    shared: Shared, images: ImageServer
) -> None:
    # GIVEN a host that adds a second answer to one of mallory's images
    late = threading.Event()
    bad = images.script("/~mallory/1.png", [GOOD_ANSWER, WaitFor(late), WRONG_ANSWER])
    job = shared.mallory.submit((STORE, [bad]))
    assert shared.mallory.wait(job, END_SECONDS)["status"] == "completed"

    # WHEN it sends that answer while alice's images of the same host are in flight
    alices = [images.script(f"/alice/{number}.png", ok(GOOD)) for number in range(THREADS)]
    job = shared.alice.submit((STORE, alices))
    assert images.wait_for_requests(THREADS, timeout=END_SECONDS)
    late.set()

    # THEN none of them has the size of the second answer
    assert shared.alice.wait(job, END_SECONDS)["status"] == "completed"
    assert widths(shared.alice, job) == [10] * THREADS


def test_an_answer_in_the_same_tls_record_is_not_measured_as_another_image(shared: Shared) -> None:
    # GIVEN an image and a second answer in one TLS record: once decrypted, the rest leaves the socket silent. The
    # filler is what http.client reads ahead.
    record = GOOD_ANSWER.ljust(8192) + WRONG_ANSWER
    with ImageServer(tls=shared.tls) as images:
        bad = [images.script(f"/~mallory/{number}.png", [record]) for number in range(THREADS)]
        good = [images.script(f"/{number}.png", ok(GOOD)) for number in range(THREADS)]
        job = shared.mallory.submit((STORE, bad))
        assert shared.mallory.wait(job, END_SECONDS)["status"] == "completed"

        # WHEN other images of the host are measured, of alice and of mallory
        jobs = {client: client.submit((STORE, good)) for client in (shared.alice, shared.mallory)}

        # THEN they have their own size
        for client, each in jobs.items():
            assert client.wait(each, END_SECONDS)["status"] == "completed"
            assert widths(client, each) == [10] * THREADS


def test_a_job_ends_while_a_slow_image_of_the_same_batch_is_still_measured(shared: Shared, images: ImageServer) -> None:
    with ImageServer() as slow:
        mallorys, alices = [slow.script("/slow.png", stalled(GOOD))], [images.script("/good.png", ok(GOOD))]
        job = submit_as_one_batch(shared, images, mallorys, alices)
        assert shared.alice.wait(job, END_SECONDS)["status"] == "completed"
        # Otherwise it ends after the fourth attempt at the slow image, when the next wait is spent in the queue.
        assert len(slow.requests) <= 2


class FailingServer(ImageServer):
    """Answers 503 at first, each time after a moment, and counts the requests in flight until it has done so."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._begun = itertools.count()
        self._failures = failures
        self._in_flight = 0
        self._answered = 0
        self.peak = 0

    def answer(self, request: Request) -> Answer:
        return self._counted(unavailable() if next(self._begun) < self._failures else super().answer(request))

    def _counted(self, answer: Answer) -> Iterator[Action]:
        with self._lock:
            self._in_flight += 1
            if self._answered < self._failures:
                self.peak = max(self.peak, self._in_flight)
        yield Pause(0.5)
        with self._lock:
            self._in_flight -= 1
            self._answered += 1
        yield from answer


def test_a_host_that_answers_503_sees_few_requests_at_once(client: ApiClient) -> None:
    # GIVEN a host whose first answers are 503
    with FailingServer(failures=6) as images:
        urls = [images.add(f"/{number}.png", GOOD) for number in range(60)]

        # WHEN a job asks for 60 images there, on a stack whose workers have 100 threads
        status = client.wait(client.submit((STORE, urls)), END_SECONDS)["status"]

        # THEN each of the two workers has asked for four of them at once, until the host recovered
        assert images.peak <= 8
        assert status == "completed"


def test_threads_go_round_by_client_when_one_of_them_has_hundreds_of_slow_images(
    shared: Shared, images: ImageServer
) -> None:
    # Each of mallory's images is answered well, but holds its thread for some seconds.
    with ImageServer() as slow:
        mallorys = [slow.script(f"/{number}.png", stalled(GOOD, seconds=8)) for number in range(200)]
        job = submit_as_one_batch(shared, images, mallorys, [images.script("/good.png", ok(GOOD))])
        assert shared.alice.wait(job, END_SECONDS / 2)["status"] == "completed"
        # Those that began together with hers, and more on a busy machine.
        assert len(slow.requests) <= 4 * THREADS
