"""How can a package be a function too? `feasibility.measure` is a package, and part of the API."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import Any


class CalledPackage(ModuleType):
    """A package that calls the function of the Python API with its name."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """What the function returns."""
        return self._function(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature of the function, for `help` and editors."""
        return inspect.signature(self._function)

    @property
    def _function(self) -> Any:
        return getattr(importlib.import_module("feasibility.api"), self.__name__.split(".")[-1])


def make_callable(name: str) -> None:
    """Makes the package of this name callable: a call runs the API function of the same name."""
    sys.modules[name].__class__ = CalledPackage
