"""New processes, so that their work does not count as this one's, or is free of what this one has in memory."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

_T = TypeVar("_T")
# The context managers that this process has entered for another one.
_entered = ExitStack()


def new_process() -> ProcessPoolExecutor:
    """Return an executor with one new process."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


@contextmanager
def served_by_new_process(serve: Callable[..., AbstractContextManager[_T]], *arguments: Any) -> Iterator[_T]:
    """Enter a context manager in a new process until the block ends; yield what it yields there.

    Parameters
    ----------
    serve
        A function of a module, which returns the context manager.
    arguments
        Its arguments.
    """
    with new_process() as process:
        try:
            yield process.submit(_enter, serve, arguments).result()
        finally:
            process.submit(_leave).result()


def _enter(serve: Callable[..., AbstractContextManager[_T]], arguments: tuple[Any, ...]) -> _T:
    return _entered.enter_context(serve(*arguments))


def _leave() -> None:
    _entered.close()
