"""What does the model get as input? Inputs with concrete sizes, and how they are filled."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from feasibility.records.shared_fields import Assumption, Count, Record, ValueKind, doc


class Fill(Record, frozen=True, kw_only=True):
    """How the elements of a generated input are chosen."""

    kind: Annotated[
        Literal["uniform", "integers", "constant", "file", "absent"],
        doc(
            "uniform: floats in [low, high); integers: from low to high inclusive; "
            "constant: the value of low; file: an array from a file; absent: an empty optional."
        ),
    ] = "uniform"
    low: Annotated[float, doc("Lowest value of the elements.")] = 0.0
    high: Annotated[float, doc("Highest value of the elements.")] = 1.0
    path: Annotated[str | None, doc("Path of the .npy or .npz file.")] = None
    member: Annotated[str | None, doc("Array name inside the .npz file.")] = None
    reason: Annotated[str, doc("Why these values were chosen; may be empty.")] = ""


EngineName: TypeAlias = Literal[
    "onnxruntime",
    "openvino",
    "openvino-default",
    "litert",
    "litert-builtin",
    "mnn",
    "mnn-external",
]
"""A library that runs models, and one way of several to use it: `runners/engines.py`."""

PROJECTED_AS: Final[dict[EngineName, str]] = {
    "onnxruntime": "onnxruntime",
    "litert": "tflite",
    "litert-builtin": "tflite",
}
"""Engines whose figures are projected onto devices, with the key of their runtime there."""


class InputSpec(Record, frozen=True, kw_only=True):
    """One input of a run."""

    name: Annotated[str, doc("Input name; untrusted text.")]
    dtype: Annotated[str, doc("Element type as numpy names it.")]
    shape: Annotated[tuple[int, ...], doc("Concrete shape.")]
    kind: Annotated[ValueKind, doc("Kind of the value.")] = "tensor"
    type_text: Annotated[str, doc("Full type as the runtime writes it.")] = ""
    fill: Annotated[Fill, doc("How the elements are chosen.")] = Fill()


class InputPlan(Record, frozen=True, kw_only=True):
    """One choice of all inputs, with the assumptions behind it."""

    inputs: Annotated[tuple[InputSpec, ...], doc("All inputs of a run.")]
    dims: Annotated[dict[str, int], doc("Symbolic dims and their sizes.")] = {}
    assumptions: Annotated[tuple[Assumption, ...], doc("Sizes and values that were assumed.")] = ()

    @property
    def has_random_inputs(self) -> bool:
        """Whether another seed gives other inputs."""
        return any(each.fill.kind in ("uniform", "integers") for each in self.inputs)


# A fixed threshold of any kind stops glibc from adapting it. Without that, two processes with
# the same model differ by up to 12 %. The value is glibc's own initial one.
TRIM_THRESHOLD: Final = "MALLOC_TRIM_THRESHOLD_"
STEADY_ENVIRONMENT: Final = {TRIM_THRESHOLD: "131072"}
STEADY_SETTING: Final = f"{TRIM_THRESHOLD}={STEADY_ENVIRONMENT[TRIM_THRESHOLD]}"


class RuntimeSettings(Record, frozen=True, kw_only=True):
    """How ONNX Runtime is set up for a model; the defaults are its own."""

    optimization_level: Annotated[
        Literal["all", "disabled"],
        doc("all: the runtime optimises the graph while loading; disabled: it does not."),
    ] = "all"
    prepacking: Annotated[bool, doc("True if kernels copy weights into their own layout.")] = True
    arena: Annotated[bool, doc("True if activations are in an arena that keeps memory.")] = True
    memory_pattern: Annotated[
        bool, doc("True if all activations are placed in one block from the second run on.")
    ] = True
    environment: Annotated[
        dict[str, str], doc("Variables that the process needs before it starts.")
    ] = {}

    @property
    def has_steady_allocator(self) -> bool:
        """Whether glibc's trim threshold is fixed."""
        return self.environment.keys() >= STEADY_ENVIRONMENT.keys()


class Workload(Record, frozen=True, kw_only=True):
    """The conditions of a measurement."""

    dims: Annotated[dict[str, int], doc("Symbolic dims and their sizes.")] = {}
    inputs: Annotated[tuple[InputSpec, ...], doc("Inputs of the runs.")] = ()
    assumptions: Annotated[tuple[Assumption, ...], doc("Sizes and values that were assumed.")] = ()
    threads: Annotated[Count, doc("Number of intra-op threads.")] = 1
    warmup_count: Annotated[Count, doc("Number of runs before the latency samples.")] = 0
    run_count: Annotated[Count, doc("Number of latency samples.")] = 0
    runtime: Annotated[str, doc("Runtime and version.")] = ""
    engine: Annotated[
        EngineName | None,
        doc("Engine that ran the model, as --engine takes it; null: a runtime that is no engine."),
    ] = "onnxruntime"
    precision: Annotated[
        str | None, doc("Type in which the engine computed; null: the types of the model.")
    ] = None
    provider: Annotated[str, doc("Execution provider of ONNX Runtime.")] = "CPUExecutionProvider"
    recipe: Annotated[str, doc("How the model was changed; `as-is`: unchanged.")] = "as-is"
    settings: Annotated[RuntimeSettings, doc("How the runtime was set up.")] = RuntimeSettings()
    seed: Annotated[int, doc("Seed of the generated inputs.")] = 0
