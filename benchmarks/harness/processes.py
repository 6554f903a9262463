"""New processes, so that their work does not count as this one's, or is free of what this one has in memory."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, ParamSpec, TypeVar, cast

_P = ParamSpec("_P")
_T = TypeVar("_T")
# What `made_in_new_process` has made in this process.
_made: list[Any] = []


def run_in_new_process(call: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Return what a function of a module returns in a new process."""
    with _new_process() as process:
        return process.submit(call, *arguments, **named).result()


@contextmanager
def made_in_new_process(make: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> Iterator[_T]:
    """Make an object in a new process, which runs until the block ends; yield a proxy that has the object's methods."""
    with _new_process() as process:
        process.submit(_make, make, *arguments, **named).result()
        yield cast("_T", _Proxy(process))


@contextmanager
def served_by_new_process(serve: Callable[..., AbstractContextManager[_T]], *arguments: Any) -> Iterator[_T]:
    """Enter what a function of a module returns in a new process, until the block ends; yield what it yields there."""
    with made_in_new_process(_Served) as served:
        try:
            yield served.enter(serve, *arguments)
        finally:
            served.close()


class _Served(ExitStack):
    def enter(self, serve: Callable[..., AbstractContextManager[_T]], *arguments: Any) -> _T:
        return self.enter_context(serve(*arguments))


class _Proxy:
    def __init__(self, process: ProcessPoolExecutor) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: self._process.submit(_call, name, *arguments).result()


def _new_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _make(make: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    _made.append(make(*arguments, **named))


def _call(name: str, *arguments: Any) -> Any:
    return getattr(_made[-1], name)(*arguments)
