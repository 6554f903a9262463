"""The hierarchy of errors: drawn in domain/errors.py as it is in the code."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import retail_pulse
from retail_pulse.domain import errors


def kinds(error: type[Exception]) -> Iterator[str]:
    yield error.__name__
    for kind in error.__subclasses__():
        if kind.__module__.startswith("retail_pulse."):
            yield from kinds(kind)


def test_the_tree_in_the_docstring_has_every_error_and_where_it_is_defined() -> None:
    for module in pkgutil.walk_packages(retail_pulse.__path__, "retail_pulse."):
        importlib.import_module(module.name)
    drawn = re.findall(r"^[ │├└─]+(\w+Error)(?: +(\S+))?$", errors.__doc__ or "", re.MULTILINE)
    assert sorted(name for name, _ in drawn) == sorted(kinds(errors.RetailPulseError))
    for name, path in drawn:
        module_name = path.removesuffix(".py").replace("/", ".") or "domain.errors"
        found = getattr(importlib.import_module(f"retail_pulse.{module_name}"), name)
        assert found.__module__ == f"retail_pulse.{module_name}"
