"""Which engines can run a model, and is the one that the user wants installed?"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable
from typing import Final, NamedTuple

from feasibility.errors import HostError, UsageError
from feasibility.records.workload import EngineName
from feasibility.text import safe_text


class Engine(NamedTuple):
    """One way to run a model.

    Attributes:
        title: Its name in reports.
        package: Python package that the child imports.
        child: Module of the child program, without `engine_`.
        is_exact: True if it has to compute in the type of the model; False for its own choice.
        has_ort_settings: True if settings of ONNX Runtime, such as the arena, exist.
    """

    title: str
    package: str
    child: str
    is_exact: bool = True
    has_ort_settings: bool = False


ENGINES: Final[dict[EngineName, Engine]] = {
    "onnxruntime": Engine("ONNX Runtime", "onnxruntime", "onnxruntime", has_ort_settings=True),
    "openvino": Engine("OpenVINO", "openvino", "openvino"),
    "openvino-default": Engine("OpenVINO", "openvino", "openvino", is_exact=False),
}


def engine_named(name: str) -> EngineName:
    """The engine of that name, which is installed here.

    Raises:
        UsageError: There is no such engine.
        HostError: Its package is not installed.
    """
    found = next((each for each in ENGINES if each == name.lower()), None)
    if found is None:
        near = difflib.get_close_matches(name.lower(), ENGINES, n=1)
        raise UsageError(
            f"Unknown engine {safe_text(name)!r}",
            f"the engines are {', '.join(ENGINES)}",
            f"did you mean {near[0]}?" if near else "the default is onnxruntime",
        )
    engine = ENGINES[found]
    if importlib.util.find_spec(engine.package) is None:
        raise HostError(
            f"Cannot run models with {engine.title}",
            f"the Python package {engine.package} is not installed",
            f"pip install 'feasibility[{engine.package}]'",
        )
    return found


def with_own_precision(names: Iterable[EngineName]) -> tuple[EngineName, ...]:
    """The engines, each followed by the same one with the precision of its own choice."""
    found: dict[EngineName, None] = {}
    for name in names:
        found[name] = None
        for other, engine in ENGINES.items():
            if (
                not engine.is_exact
                and ENGINES[name].is_exact
                and engine.child == ENGINES[name].child
            ):
                found[other] = None
    return tuple(found)
