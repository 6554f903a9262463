"""How long a quick client waits for the slow images of another one: F4."""

import time

from benchmarks.stack.strangers.report import Finding
from benchmarks.stack.strangers.scene import PICTURE, Scene, at_once, scene
from local.images.server import Answer, head, in_pieces

# Four pieces of 4 bytes: 18 s, which the deadline of an image allows.
_DRIP: Answer = [head(len(PICTURE), "image/png") + PICTURE[:-16], *in_pieces(PICTURE[-16:], 4, 4.5)]
# As many hosts as mallory needs, so that no limit per host bounds the attack.
_HOSTS = 240
_JOB_SECONDS = 30.0


def workers() -> list[Finding]:
    """Send 1,500 dripping images to the workers; then alice submits jobs of one image."""
    with scene({"drip": _DRIP}, _HOSTS + 1) as made:
        usual = _alices_seconds(made, 30)[0]
        made.submit(made.mallory, made.urls("drip", 1_500, slice(_HOSTS)))
        made.wait_for("drip", 150)
        worst, is_cut = _alices_seconds(made, 150)
        # When it takes long, the drips are over, and another job would show nothing.
        until = time.monotonic() + 60 - worst
        while not is_cut and time.monotonic() < until:
            seconds, is_cut = _alices_seconds(made, 60)
            worst = max(worst, seconds)
    return [
        Finding("alice's job of one good image before the attack", usual, "s"),
        Finding("the slowest of her jobs of one image during it", worst, "s", _JOB_SECONDS, is_cut=is_cut),
    ]


def moment() -> list[Finding]:
    """Submit 950 dripping images and alice's job of one image at the same moment."""
    with scene({"drip": _DRIP}, _HOSTS + 1) as made:
        made.occupy()
        drips, good = made.urls("drip", 950, slice(_HOSTS)), made.urls("good", 1, slice(_HOSTS, None))
        _, job = at_once(lambda: made.submit(made.mallory, drips), lambda: made.submit(made.alice, good))
        seconds, is_cut = made.seconds_to_end(made.alice, job, 160)
    return [Finding("alice's job of one good image", seconds, "s", _JOB_SECONDS, is_cut=is_cut)]


def shared() -> list[Finding]:
    """Submit 20 dripping images of mallory's and 5 good ones of alice's that become one batch."""
    with scene({"drip": _DRIP}, 21) as made:
        made.occupy()
        made.submit(made.mallory, made.urls("drip", 20, slice(20)))
        job = made.submit(made.alice, made.urls("good", 5, slice(20, 21)))
        seconds, is_cut = made.seconds_to_end(made.alice, job, 60)
        answered = max(event.at for event in made.hosts.events() if "/good/" in event.path)
        late = time.monotonic() - answered
    return [
        Finding("from the answer to alice's last image to the end of her job", late, "s", 2, is_cut=is_cut),
        Finding("her job, with the wait for a free worker", seconds, "s"),
    ]


def _alices_seconds(made: Scene, limit: float) -> tuple[float, bool]:
    return made.seconds_to_end(made.alice, made.submit(made.alice, made.urls("good", 1, slice(_HOSTS, None))), limit)
