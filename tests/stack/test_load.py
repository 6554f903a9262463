"""The load that the embedded stack must bear; benchmarks.stack.embedded_stack measures the same loads."""

import threading
from concurrent.futures import ThreadPoolExecutor

from local.client import ApiClient
from local.images.server import ImageServer, WaitFor
from local.stack.process import StackProcess
from tests.support.loads import add_images, run_burst, run_job, submit_large_job
from tests.support.waiting import END_SECONDS, wait_until


def test_a_thousand_images_are_measured_correctly_and_many_at_once(client: ApiClient) -> None:
    # GIVEN a server that answers nothing until four images are being downloaded at once: a host that has not answered
    # gets no more from a worker.
    four = threading.Event()
    with ImageServer(greeting=[WaitFor(four)]) as images, ThreadPoolExecutor(1) as pool:
        perimeters = add_images(images, 1000)

        # WHEN a job of a thousand images is submitted
        job = pool.submit(run_job, client, perimeters)
        wait_until(lambda: images.accepted >= 4, END_SECONDS)
        four.set()

        # THEN each image is downloaded once and measured. Waiting one after the other, even in two workers, the delays
        # would add up to more than END_SECONDS, and the job would not end in time.
        outcome = job.result()
        assert (outcome.status, outcome.images, outcome.wrong) == ("completed", 1000, [])
        assert len(images.requests) == 1000


def test_two_hundred_submissions_at_once_are_accepted_and_end(stack: StackProcess, images: ImageServer) -> None:
    urls = list(add_images(images, 3))

    burst = run_burst(stack, urls, 200)

    assert burst.codes == {201: 200}
    assert burst.statuses == {"completed": 200}
    assert burst.peak_bytes < 1.5 * 2**30


def test_a_job_of_twenty_thousand_images_is_accepted_and_its_status_can_be_read(
    images: ImageServer, picture: bytes
) -> None:
    url = images.add("/a.jpg", picture)

    # On its own stack, which then ends in the middle of the job.
    with StackProcess() as stack, ApiClient(stack.url, stack.api_key) as client:
        large = submit_large_job(client, url, 20_000)

    # What a status reads is counted in tests/functions/test_functions.py: one item, whatever the size of the job.
    assert (large.code, large.large_status) == (201, "ongoing")
