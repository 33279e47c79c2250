"""Where can an ONNX model run? Checked before you deploy the model.

The functions and the error in `__all__` are the public Python API: docs/python.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feasibility.api import check as check
    from feasibility.api import compare as compare
    from feasibility.api import fit as fit
    from feasibility.api import inspect as inspect
    from feasibility.api import load_profile as load_profile
    from feasibility.api import measure as measure
    from feasibility.errors import FeasibilityError as FeasibilityError

__version__ = "0.1.0"
__all__ = [
    "FeasibilityError",
    "__version__",
    "check",
    "compare",
    "fit",
    "inspect",
    "load_profile",
    "measure",
]


# Packages that can be called, so that a name never depends on what was imported before.
_PACKAGES = ("compare", "fit", "measure")


def __getattr__(name: str) -> Any:
    """A public name; its module is imported when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _PACKAGES:
        return importlib.import_module(f"feasibility.{name}")
    module = "errors" if name == "FeasibilityError" else "api"
    return getattr(importlib.import_module(f"feasibility.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
