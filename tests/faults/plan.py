"""What a run submits: randomly drawn jobs, whose images are served well, badly, or badly for a while."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local.images.pictures import Format, make_image
from local.images.server import (
    Answer,
    ImageServer,
    cut_after,
    failing,
    html,
    ok,
    reset_after,
    reset_at_once,
    slow,
    stalled,
    unavailable,
)
from retail_pulse.domain.failures import FailureCode
from tests.faults.injection import POISON
from tests.faults.worker import Call

STORES = ("S00339218", "S01408764", "S00766993")
UNKNOWN_STORE = "S99999999"
# Images of different sizes, each made once, so that a change of content shows.
_SIDES = range(20, 36)
HEIGHT_ABOVE_WIDTH = 7
_PICTURES = {side: make_image(Format.PNG, side, side + HEIGHT_ABOVE_WIDTH) for side in _SIDES}


@dataclass(frozen=True, slots=True)
class Served:
    """What one response of the image server leads to: the width of a picture, or a failure code."""

    kind: str
    answer: Answer
    width: int | None = None
    code: FailureCode | None = None
    status: int | None = None


def _good(side: int) -> Served:
    return Served("good", ok(_PICTURES[side], "image/png"), width=side)


# Faults of image servers, by kind.
BAD: dict[str, Callable[[random.Random], Served]] = {
    "image server stalls": lambda _: Served("image server stalls", stalled(b"", seconds=3.0), code=FailureCode.TIMEOUT),
    "image server resets": lambda dice: Served(
        "image server resets",
        dice.choice([reset_at_once(), reset_after(_PICTURES[20], 30)]),
        code=FailureCode.CONNECT_FAILED,
    ),
    "image server sends byte by byte": lambda _: Served(
        "image server sends byte by byte", slow(_PICTURES[20], piece=1, pause=0.05), code=FailureCode.TIMEOUT
    ),
    "image server returns 429": lambda dice: Served(
        "image server returns 429",
        unavailable(429, retry_after=dice.choice([None, 1])),
        code=FailureCode.HTTP_STATUS,
        status=429,
    ),
    "image server returns 503": lambda dice: Served(
        "image server returns 503",
        unavailable(503, retry_after=dice.choice([None, 0, "Wed, 21 Oct 2015 07:28:00 GMT"])),
        code=FailureCode.HTTP_STATUS,
        status=503,
    ),
    "content changes between attempts": lambda _: Served(
        "content changes between attempts", cut_after(_PICTURES[20], 40), code=FailureCode.TRUNCATED
    ),
}
_HARD: Sequence[Callable[[], Served]] = (
    lambda: Served("404", failing(404), code=FailureCode.HTTP_STATUS, status=404),
    lambda: Served("HTML", html(), code=FailureCode.NOT_AN_IMAGE),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's submissions, and the image server's responses for each path, in order."""

    calls: list[Call]
    scripts: dict[str, list[Served]]


def draw(seed: int, jobs: int, server: ImageServer) -> Plan:
    """Draw the submissions of a run, and add their images to the server."""
    dice = random.Random(seed)
    scripts: dict[str, list[Served]] = {}
    calls = []
    for number in range(jobs):
        visits = []
        for visit in range(dice.randint(1, 3)):
            urls = []
            for image in range(dice.randint(1, 5)):
                # A poison image kills every worker that touches it, so there are only a few.
                name = POISON if dice.random() < 0.002 else "/image"
                path = f"{name}-{seed}-{number}-{visit}-{image}.png"
                scripts[path] = _script(dice)
                server.script(path, *(served.answer for served in scripts[path]))
                urls.append(server.url(path))
            store = UNKNOWN_STORE if dice.random() < 0.03 else dice.choice(STORES)
            visits.append({"store_id": store, "image_url": urls, "visit_time": f"2026-11-{1 + visit:02d}"})
        key = f"run-{seed}-{number}" if dice.random() < 0.5 else None
        calls.append(Call(number, "/api/submit", json.dumps({"count": len(visits), "visits": visits}), key))
    return Plan(calls, scripts)


def _script(dice: random.Random) -> list[Served]:
    """Draw the responses for an image, in order; the last one is repeated."""
    kind = dice.random()
    if kind < 0.62:
        return [_good(dice.choice(_SIDES))]
    if kind < 0.68:
        return [dice.choice(_HARD)()]
    bad = [BAD[dice.choice(sorted(BAD))](dice) for _ in range(dice.choice([1, 1, 1, 2, 2, 3, 6]))]
    return bad if dice.random() < 0.1 else [*bad, _good(dice.choice(_SIDES))]
