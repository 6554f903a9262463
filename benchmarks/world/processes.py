"""Servers in their own process, so that their work does not count as their clients'."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

_T = TypeVar("_T")
_END_SECONDS = 10


@contextmanager
def in_own_process(serve: Callable[..., AbstractContextManager[_T]], *arguments: Any) -> Iterator[_T]:
    """Enter a context manager in a new process; yield what it yields there.

    Parameters
    ----------
    serve
        A function of a module, which returns the context manager.
    arguments
        Its arguments.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_enter, args=(theirs, serve, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join(_END_SECONDS)


def _enter(parent: Connection, serve: Callable[..., AbstractContextManager[_T]], arguments: tuple[Any, ...]) -> None:
    with serve(*arguments) as served:
        parent.send(served)
        # The parent sends nothing; it closes its end.
        with suppress(EOFError):
            parent.recv()
