"""What a run submits: randomly drawn jobs, whose images are served well, badly, or badly for a while."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local.images import server as image_server
from local.images.pictures import Format, make_image
from local.images.server import Answer, ImageServer, unavailable
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from tests.faults.injection import POISON
from tests.faults.worker import Call

STORES = ("S00339218", "S01408764", "S00766993")
UNKNOWN_STORE = "S99999999"
# Images of different sizes, each made once, so that a change of content shows.
_PICTURES = {side: make_image(Format.PNG, side, side + 7) for side in range(20, 36)}
_PICTURE = _PICTURES[20]


@dataclass(frozen=True, slots=True)
class Served:
    """One response of the image server, and the outcome that it leads to."""

    kind: str
    answer: Answer
    outcome: Outcome


Responses = Mapping[str, tuple[FailureCode, Callable[[random.Random], Answer]]]

# Faults of image servers: by kind, the failure that they cause, and the response.
BAD: Responses = {
    "image server stalls": (FailureCode.TIMEOUT, lambda _: image_server.stalled(b"", seconds=3.0)),
    "image server resets": (
        FailureCode.CONNECT_FAILED,
        lambda dice: dice.choice([image_server.reset_at_once(), image_server.reset_after(_PICTURE, 30)]),
    ),
    "image server sends byte by byte": (FailureCode.TIMEOUT, lambda _: image_server.slow(_PICTURE, pause=0.05)),
    "image server returns 429": (
        FailureCode.HTTP_STATUS,
        lambda dice: unavailable(429, retry_after=dice.choice([None, 1])),
    ),
    "image server returns 503": (
        FailureCode.HTTP_STATUS,
        lambda dice: unavailable(503, retry_after=dice.choice([None, 0, "Wed, 21 Oct 2015 07:28:00 GMT"])),
    ),
    "content changes between attempts": (FailureCode.TRUNCATED, lambda _: image_server.cut_after(_PICTURE, 40)),
}
# Responses that no retry improves.
_HARD: Responses = {
    "404": (FailureCode.HTTP_STATUS, lambda _: image_server.failing(404)),
    "HTML": (FailureCode.NOT_AN_IMAGE, lambda _: image_server.html()),
}


def _good(dice: random.Random) -> Served:
    side, picture = dice.choice(list(_PICTURES.items()))
    return Served("good", image_server.ok(picture, "image/png"), Measured("PNG", side, side + 7, len(picture)))


def _bad(responses: Responses, dice: random.Random) -> Served:
    kind = dice.choice(sorted(responses))
    code, answer = responses[kind]
    return Served(kind, answer(dice), Failure(code, kind, is_transient=responses is BAD))


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
        return [_good(dice)]
    if kind < 0.68:
        return [_bad(_HARD, dice)]
    bad = [_bad(BAD, dice) for _ in range(dice.choice([1, 1, 1, 2, 2, 3, 6]))]
    return bad if dice.random() < 0.1 else [*bad, _good(dice)]
