"""What the embedded stack must bear; the figures are those of benchmarks.stack.embedded_stack."""

from benchmarks.stack.embedded_stack import add_images, run_burst, run_job, submit_large_job
from local.client import ApiClient
from local.images.server import ImageServer
from local.stack.process import StackProcess


def test_a_thousand_images_are_measured_as_they_are(client: ApiClient, images: ImageServer) -> None:
    perimeters = add_images(images, 1000)

    outcome = run_job(client, perimeters)

    assert (outcome.status, outcome.images, outcome.wrong) == ("completed", 1000, [])
    assert len(images.requests) == 1000
    # One after the other, the delays alone would take four minutes.
    assert outcome.seconds < 40


def test_two_hundred_submissions_at_once_are_accepted_and_end(stack: StackProcess, images: ImageServer) -> None:
    urls = list(add_images(images, 3))

    burst = run_burst(stack, urls, 200)

    assert burst.codes == {201: 200}
    assert burst.statuses == {"completed": 200}
    assert burst.peak_bytes < 1.5 * 2**30


def test_the_status_of_a_job_does_not_depend_on_its_size(images: ImageServer, picture: bytes) -> None:
    url = images.add("/a.jpg", picture)

    # A stack of its own: the job is left alone after that.
    with StackProcess() as stack, ApiClient(stack.url, stack.api_key) as client:
        large = submit_large_job(client, url, 20_000)

    assert (large.code, large.large_status) == (201, "ongoing")
    # Taken in turns under the same load; a status that read every chunk would take a hundred times as long.
    assert large.large_status_seconds < 5 * large.small_status_seconds
