"""Which engines can run a model, and is the one that the user wants installed?"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable
from typing import Final, NamedTuple

from feasibility.errors import HostError, UsageError
from feasibility.records.facts import FORMAT_TITLES, ModelFormat
from feasibility.records.workload import EngineName
from feasibility.text import safe_text


class Engine(NamedTuple):
    """One way to run a model.

    Attributes:
        title: Its name in reports.
        package: Python package that has to be installed.
        child: Module of the child program, without `engine_`.
        variant: How the engine is used, if there are several ways.
        reads: Formats of model files that it loads.
        extra: Optional dependency that brings the package; empty if it is always there.
        converts: True if a model is written in the engine's own format first.
    """

    title: str
    package: str
    child: str
    variant: str = ""
    reads: tuple[ModelFormat, ...] = ("onnx",)
    extra: str = ""
    converts: bool = False

    @property
    def is_onnxruntime(self) -> bool:
        """Whether its settings, such as the arena, and its memory model apply."""
        return self.child == "onnxruntime"


# Of several ways to use an engine, the first one is the usual one.
ENGINES: Final[dict[EngineName, Engine]] = {
    "onnxruntime": Engine("ONNX Runtime", "onnxruntime", "onnxruntime", reads=("onnx", "ort")),
    "openvino": Engine("OpenVINO", "openvino", "openvino", "float32", extra="openvino"),
    "openvino-default": Engine("OpenVINO", "openvino", "openvino", "default", extra="openvino"),
    "litert": Engine("LiteRT", "ai_edge_litert", "litert", "XNNPACK", ("tflite",), "litert"),
    "litert-builtin": Engine(
        "LiteRT", "ai_edge_litert", "litert", "built-in kernels", ("tflite",), "litert"
    ),
    "mnn": Engine("MNN", "MNN", "mnn", "one file", extra="mnn", converts=True),
    "mnn-external": Engine("MNN", "MNN", "mnn", "external weights", extra="mnn", converts=True),
}


def engine_named(name: str) -> EngineName:
    """The engine of that name.

    Raises:
        UsageError: There is no such engine.
    """
    found = next((each for each in ENGINES if each == name.lower()), None)
    if found is None:
        near = difflib.get_close_matches(name.lower(), ENGINES, n=1)
        raise UsageError(
            f"Unknown engine {safe_text(name)!r}",
            f"the engines are {', '.join(ENGINES)}",
            f"did you mean {near[0]}?" if near else "the default is onnxruntime",
        )
    return found


def is_installed(engine: Engine) -> bool:
    """Whether the Python package of an engine is there."""
    return importlib.util.find_spec(engine.package) is not None


def require_installed(name: EngineName) -> None:
    """Fails if the Python package of an engine is missing.

    Raises:
        HostError: It is not installed.
    """
    engine = ENGINES[name]
    if not is_installed(engine):
        raise HostError(
            f"Cannot run models with {engine.title}",
            f"the Python package {engine.package} is not installed",
            f"pip install 'feasibility[{engine.extra}]'",
        )


def usual_engine(form: ModelFormat) -> EngineName:
    """The engine for a format, if the user names none."""
    return next(name for name, engine in ENGINES.items() if form in engine.reads)


def other_engines(form: ModelFormat) -> tuple[EngineName, ...]:
    """Installed engines that read a format, without the usual engine; each in its usual variant."""
    found: dict[str, EngineName] = {}
    for name, engine in ENGINES.items():
        if form in engine.reads and is_installed(engine):
            found.setdefault(engine.child, name)
    return tuple(name for name in found.values() if name != usual_engine(form))


def require_format(name: EngineName, form: ModelFormat) -> None:
    """Fails if an engine does not read a format.

    Raises:
        UsageError: It does not.
    """
    engine = ENGINES[name]
    if form not in engine.reads:
        raise UsageError(
            f"Cannot run the model with {engine.title}",
            f"it is in {FORMAT_TITLES[form]}, and {engine.title} reads "
            f"{' and '.join(FORMAT_TITLES[each] for each in engine.reads)}",
            f"the engine for this format is {usual_engine(form)}",
        )


def with_variants(names: Iterable[EngineName]) -> tuple[EngineName, ...]:
    """The engines; the usual way to use one is followed by its other ways."""
    found: dict[EngineName, None] = {}
    for name in names:
        child = ENGINES[name].child
        family = [each for each, engine in ENGINES.items() if engine.child == child]
        found.update(dict.fromkeys(family if name == family[0] else [name]))
    return tuple(found)
