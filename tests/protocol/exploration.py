"""Runs a program of concurrent actors in every order, and with a crash at every step, within bounds.

Stateless model checking with a bound on preemptions (M. Musuvathi, S. Qadeer, "Iterative Context Bounding for
Systematic Testing of Multithreaded Programs", PLDI 2007): actors are threads. One at a time runs, from one access to
what they share to the next access. An execution is a sequence of choices; the next execution differs in the last choice
that has another option left.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.fakes import Killed


class Choices:
    """The choices of one execution: the given ones, then always the first option."""

    def __init__(self, given: list[int]) -> None:
        self._given = iter(given)
        self.taken: list[tuple[int, int]] = []

    def pick(self, options: int) -> int:
        """Choose one of so many options, and record how many there were."""
        number = next(self._given, 0)
        self.taken.append((number, options))
        return number


def executions() -> Iterator[Choices]:
    """Yield the choices of one execution after the other, until all were made; the next depend on those taken."""
    choices = Choices([])
    while True:
        yield choices
        taken = choices.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        choices = Choices([number for number, _ in taken[:-1]] + [taken[-1][0] + 1])


def _shut() -> threading.Lock:
    """Return a gate at which one thread waits until another one releases it; a semaphore costs several locks."""
    gate = threading.Lock()
    gate.acquire()
    return gate


@dataclass
class _Actor:
    name: str
    action: Callable[[], None]
    is_enabled: Callable[[], bool]
    turn: threading.Lock = field(default_factory=_shut)
    thread: threading.Thread | None = None
    is_over: bool = False
    error: BaseException | None = None
    # The access that the actor is about to make.
    next: str = ""


class Stage:
    """Where actors run, one at a time.

    Parameters
    ----------
    choices
        The choices of this execution.
    preemptions
        How often an actor may be interrupted that could continue.
    crashes
        How many actors may die.
    """

    def __init__(self, choices: Choices, preemptions: int, crashes: int) -> None:
        self._choices = choices
        self._preemptions = preemptions
        self._crashes = crashes
        self._actors: list[_Actor] = []
        self._current: _Actor | None = None
        self._director = _shut()
        self.trace: list[str] = []
        self.after_each_step: Callable[[], None] = lambda: None

    def add(self, name: str, action: Callable[[], None], is_enabled: Callable[[], bool] = lambda: True) -> None:
        """Add an actor that may begin once it is enabled."""
        self._actors.append(_Actor(name, action, is_enabled))

    def run_until(self, name: str, access: str) -> None:
        """Run one actor, without choices, until it is about to make an access; there it stops.

        Raises
        ------
        LookupError
            The actor ended without that access.
        """
        (actor,) = (actor for actor in self._actors if actor.name == name)
        self._current = actor
        crashes, self._crashes = self._crashes, 0
        while actor.next != access:
            self._advance(actor)
            if actor.is_over:
                raise LookupError(f"{name} never reached {access}") from actor.error
        self._current, self._crashes = None, crashes

    def play(self) -> None:
        """Run the actors until none can continue; an actor that is never enabled does not start."""
        while True:
            ready = [actor for actor in self._actors if not actor.is_over and (actor.thread or actor.is_enabled())]
            if not ready:
                return
            # The first option is to continue with the current actor; any other one is a preemption.
            ready.sort(key=lambda actor: actor is not self._current)
            can_continue = ready[0] is self._current
            if can_continue and self._preemptions == 0:
                del ready[1:]
            chosen = ready[self._choices.pick(len(ready))]
            if can_continue and chosen is not self._current:
                self._preemptions -= 1
            self._current = chosen
            self._advance(chosen)
            if chosen.error is not None:
                raise chosen.error
            self.after_each_step()

    def access(self, what: str, operation: Callable[[], Any]) -> Any:
        """Access what is shared: other actors may go first, and the actor may die before or after it."""
        actor = self._current
        if actor is None or threading.current_thread() is not actor.thread:
            return operation()  # outside of the play
        actor.next = what
        self._director.release()
        actor.turn.acquire()
        death = self._choices.pick(3) if self._crashes > 0 else 0
        if death:
            self._crashes -= 1
        self.trace.append(f"{actor.name}: {what}{('', ', dead before', ', dead after')[death]}")
        if death == 1:
            raise Killed
        result = operation()
        if death == 2:
            raise Killed
        return result

    def _advance(self, actor: _Actor) -> None:
        """Run an actor to its next access, or to its end."""
        if actor.thread is None:
            actor.thread = threading.Thread(target=self._run, args=(actor,), daemon=True)
            actor.thread.start()
        else:
            actor.turn.release()
        self._director.acquire()

    def _run(self, actor: _Actor) -> None:
        try:
            actor.action()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  # the director raises it
            actor.error = error
        actor.is_over = True
        self._director.release()


class Shared:
    """Turns every call of an object's methods into an access on a stage."""

    def __init__(self, target: Any, stage: Stage) -> None:
        self._target = target
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._stage.access(name, lambda: method(*args, **kwargs))

        return call
